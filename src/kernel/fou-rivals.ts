// A FOU port that somebody else has where ours is to be. Pure. Called before a lease is taken.
import { HopsackError } from "../errors.js";
import type { FouKey, FouPort } from "../netlink/fou.js";
import type { Link } from "../netlink/link.js";
import { ownFouPorts } from "../plan/diff-fou-ports.js";
import { deviceAlias } from "./device-alias.js";

export interface FouRivalInput {
  readonly links: readonly Link[];
  readonly fouPorts: readonly FouPort[];
  /** What is to be opened. */
  readonly wanted: FouKey;
  /** Marks devices of ours, and with them their ports. */
  readonly deviceName: string;
}

/** PORT_TAKEN, or null: nobody is in the way. */
export function findFouRival({ links, fouPorts, wanted, deviceName }: FouRivalInput): HopsackError | null {
  const own = ownFouPorts({ links, fouPorts }, deviceAlias(deviceName));
  const rival = fouPorts.find((port) => port.port === wanted.port && isSameHost(port, wanted) && !own.includes(port));
  if (rival === undefined) return null;
  const words = `port ${rival.port}${rival.localAddress === null ? "" : ` local ${rival.localAddress}`}`;
  const problem = `this host has a FOU ${words} already (IP protocol ${rival.protocol}), and no device of this hopsackd belongs to it`;
  const cure = `remove it with: ip fou del ${words}, or set another Backend.Port on all hosts, or start without --engine fou`;
  return new HopsackError("PORT_TAKEN", `${problem}; ${cure}`);
}

function isSameHost({ localAddress }: FouPort, wanted: FouKey): boolean {
  return localAddress === null || wanted.localAddress === null || localAddress === wanted.localAddress;
}
