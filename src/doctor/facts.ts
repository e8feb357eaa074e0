// What the checks look at: the running daemon's report, and the host as it is now. Checks only read it; nothing here changes the host.
import type { StatusReport } from "../daemon/status.js";
import type { Link } from "../netlink/link.js";
import type { Route } from "../netlink/route.js";
import type { NftRules } from "./nft-rules.js";

export type Peer = StatusReport["peers"][number];

/** How a UDP datagram to a port fared: nobody said a word, a port unreachable came back, or this host kept it. */
export type Knock = "silence" | "refused" | "kept back";

export interface Facts {
  /** null: no daemon answers, for the reason of `daemonFault`. */
  readonly report: StatusReport | null;
  readonly daemonFault: string | null;
  /** Those that are tried by sending to them. */
  readonly peers: readonly Peer[];
  readonly links: readonly Link[];
  /** Of the main table. */
  readonly routes: readonly Route[];
  /** `6.18.44-amd64`. */
  readonly kernelRelease: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** null where there is no such file. */
  readText(path: string): string | null;
  /** The route that a packet takes now. */
  routeTo(address: string): Route | null;
  /** @throws NotChecked where nft is missing or may not be asked */
  nftRules(): Promise<NftRules>;
  /** Whether one ICMP packet of this length, IP header included, that must not be cut is answered. @throws NotChecked without ping */
  ping(address: string, bytes: number): Promise<boolean>;
  /** Whether a peer's daemon answers a packet of this length, IP header included, through the overlay. @throws NotChecked */
  ask(peer: Peer, bytes: number): Promise<boolean>;
  /** One UDP datagram that no tunnel end takes for its own. */
  knock(address: string, port: number): Promise<Knock>;
  /** What a program prints. @throws NotChecked where it is not installed or fails */
  run(program: string, args: readonly string[]): Promise<string>;
  /** Seconds by which another clock is ahead of ours: that of whoever answers HTTP there. @throws NotChecked */
  clockAhead(url: string): Promise<number>;
  /** When the youngest file of a folder was written, by the clock of whoever keeps it; null for none. */
  youngestFileAt(folder: string): number | null;
}

/** A kernel setting, `net/ipv4/ip_forward`; null: this kernel has none. */
export function sysctl(facts: Pick<Facts, "readText">, name: string): string | null {
  return facts.readText(`/proc/sys/${name}`)?.trim() ?? null;
}

export function linkOf({ links }: Pick<Facts, "links">, name: string | undefined): Link | undefined {
  return links.find((link) => link.name === name);
}

/** `h2 at 192.168.50.11` */
export function nameOf({ node, publicIp, subnet }: Peer): string {
  return `${node ?? subnet} at ${publicIp}`;
}
