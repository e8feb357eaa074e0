// `hopsack trace` asked by tests, as JSON.
import { tried } from "./lab.js";

export interface Trace {
  readonly status: number | null;
  readonly id: number;
  readonly isAnswered: boolean;
  readonly stop: { readonly where: string; readonly reasons: readonly string[] } | null;
  readonly path: readonly {
    readonly name: string;
    readonly route: string | null;
    readonly nftables: readonly object[];
  }[];
  readonly steps: readonly {
    readonly member: string;
    readonly way: string;
    readonly device: string;
    readonly direction: string;
    readonly kind: string;
    readonly wrapping: string | null;
  }[];
}

export function traced(lab: string, ...words: readonly string[]): Trace {
  const { status, stdout, stderr } = tried("trace", ...words, "--name", lab, "--seconds", "1", "--json");
  if (stdout === "") throw new Error(stderr);
  return { ...JSON.parse(stdout), status };
}
