// The version of this package, as its package.json says. Read by `--version`, the status report and the metrics.
import { readFileSync } from "node:fs";

/** E.g. `0.1.0`. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const fields: { readonly version: string } = JSON.parse(text);
  return fields.version;
}
