// Which host this is. The name goes into the lease, so that people (and the store) can tell two hosts apart.
import { hostname } from "node:os";

/** `--node-name`, else the machine's host name. */
export function nodeName(chosen: string | null): string {
  return chosen ?? hostname();
}
