// Opens the store that --store names. The only file that knows every kind.
import { resolve } from "node:path";
import { HopsackError } from "../errors.js";
import type { EtcdSettings } from "./etcd-settings.js";
import { FileLeaseStore } from "./file.js";
import type { LeaseStore } from "./lease-store.js";
import { StaticLeaseStore } from "./static.js";

export interface OpenStoreOptions {
  /** What the --etcd-* options say; null for every other store. */
  readonly etcd: EtcdSettings | null;
  readonly leaseTtlSeconds: number;
  readonly netConfigPath: string | null;
  /** Gets one sentence for each entry of the store that is skipped. */
  readonly onWarning?: (message: string) => void;
  /** Called while a watch runs, whenever the network configuration may have changed. */
  readonly onConfigChange?: () => void;
}

/** `file:DIR`, `static:FILE` or `etcd`. Touches nothing yet. @throws BAD_OPTION */
export async function openStore(spec: string, options: OpenStoreOptions): Promise<LeaseStore> {
  if (spec === "etcd" && options.etcd !== null) {
    const { EtcdLeaseStore } = await import("./etcd.js"); // 27 MB that other stores do without
    return new EtcdLeaseStore({ ...options, settings: options.etcd });
  }
  const colon = spec.indexOf(":");
  const kind = spec.slice(0, Math.max(colon, 0));
  const rest = spec.slice(colon + 1);
  if (rest !== "" && kind === "file") return new FileLeaseStore({ ...options, folder: resolve(rest) });
  if (rest !== "" && kind === "static") return new StaticLeaseStore({ ...options, path: resolve(rest) });
  throw new HopsackError(
    "BAD_OPTION",
    `--store ${JSON.stringify(spec)} names no store; use file:DIR, static:FILE or etcd`,
  );
}
