// Who else takes the IP-in-IP packets of this host: then the pump and they would carry each packet twice. Pure. Called before the pump
// opens its own socket.
import { HopsackError } from "../errors.js";
import { formatIpv4 } from "../net/ipv4.js";
import type { Link } from "../netlink/link.js";
import { LITTLE_ENDIAN } from "../netlink/message.js";
import { deviceAlias } from "./device-alias.js";

export interface RivalInput {
  readonly links: readonly Link[];
  /** Text of /proc/net/raw. */
  readonly rawSockets: string;
  /** The underlay's. */
  readonly address: string;
  /** Marks devices of ours: they are about to go. */
  readonly deviceName: string;
}

const ANY_ADDRESS = "0.0.0.0";
/** In the place of the port: the IP protocol. */
const ROW = /^\s*\d+: ([0-9A-F]{8}):0004 /gm;

/** DEVICE_BUSY for a device that is up, PORT_TAKEN for a socket; null: nobody. */
export function findIpipRival({ links, rawSockets, address, deviceName }: RivalInput): HopsackError | null {
  const device = links.find((link) => link.kind === "ipip" && link.isUp && link.alias !== deviceAlias(deviceName));
  if (device !== undefined) {
    const problem = `the kernel's device ${device.name} takes IP-in-IP packets too, so each would arrive twice`;
    const cure = `switch it off with: ip link set ${device.name} down, or start without --ipip-engine userspace`;
    return new HopsackError("DEVICE_BUSY", `${problem}; ${cure}`);
  }
  const listener = [...rawSockets.matchAll(ROW)]
    .map(([, word]) => addressOf(word ?? ""))
    .find((local) => local === address || local === ANY_ADDRESS);
  if (listener === undefined) return null;
  const problem = `another program takes IP-in-IP packets on ${listener} (IP protocol 4), so each would be carried twice`;
  return new HopsackError("PORT_TAKEN", `${problem}; see which with: ss -awnp, and stop it`);
}

/** The kernel prints the four bytes as a number of this machine. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  return formatIpv4(LITTLE_ENDIAN ? bytes.readUInt32LE() : bytes.readUInt32BE());
}
