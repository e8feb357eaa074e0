// What a host says of itself around a trace: counters of losses before and after, and afterwards its links, neighbours and routes.
import type { StatusReport } from "../daemon/status.js";
import { attempt, run } from "../lab/command.js";

/** Of one kind of loss; two of them make a RisenCounter. */
export type Counters = ReadonlyMap<string, { readonly count: number; readonly help: string }>;

export interface RisenCounter {
  readonly name: string;
  readonly help: string;
  readonly by: number;
}

export interface RouteChoice {
  /** The kernel's words, on one line. */
  readonly text: string;
  readonly isRoute: boolean;
}

export interface LinkFact {
  readonly name: string;
  readonly isUp: boolean;
  readonly isBridge: boolean;
  /** Of a VXLAN device. */
  readonly vxlan: { readonly vni: number; readonly port: number } | null;
}

export interface NeighbourFact {
  readonly address: string;
  readonly device: string;
  readonly states: readonly string[];
}

/** Counters of the kernel that rise when a packet ends, and what that means. */
const KERNEL_LOSSES: Readonly<Record<string, string>> = {
  "Ip.InHdrErrors": "a header that cannot be read, or a TTL that ran out",
  "Ip.InAddrErrors": "an address that this host does not take, with forwarding off",
  "Ip.InDiscards": "the kernel had no room for it",
  "Ip.OutDiscards": "the kernel had no room for it",
  "Ip.OutNoRoutes": "no route for a packet of this host",
  "Ip.FragFails": "it is longer than the way, and may not be cut",
  "IpExt.InNoRoutes": "no route to its destination",
  "TcpExt.IPReversePathFilter": "rp_filter: the way back to its source leaves by another device",
  "Udp.NoPorts": "nobody listens on its UDP port",
  "Udp.RcvbufErrors": "the socket's buffer was full",
};

const inside = (netns: string | null): string[] => (netns === null ? [] : ["netns", "exec", netns]);

async function text(netns: string | null, ...words: readonly string[]): Promise<string> {
  const [program = "", ...args] = netns === null ? words : ["ip", ...inside(netns), ...words];
  return (await attempt(program, args)).stdout;
}

/** Of kernel, devices, and the daemon where one answers. */
export async function readLosses(netns: string | null, report: StatusReport | null): Promise<Counters> {
  const counters = new Map<string, { count: number; help: string }>();
  const kernel = parseSnmp(await text(netns, "cat", "/proc/net/snmp", "/proc/net/netstat"));
  for (const [name, help] of Object.entries(KERNEL_LOSSES)) {
    counters.set(name, { count: kernel.get(name) ?? 0, help });
  }
  for (const { ifname, stats64 } of await ipJson<IpLink>(netns, ["-s", "link"])) {
    for (const direction of ["rx", "tx"] as const) {
      for (const kind of ["dropped", "errors"] as const) {
        const help = `what ${ifname} ${direction === "rx" ? "received" : "was to send"} and lost`;
        counters.set(`${ifname} ${direction}_${kind}`, { count: stats64?.[direction]?.[kind] ?? 0, help });
      }
    }
  }
  for (const { reason, help, packets } of report?.drops ?? []) {
    counters.set(`hopsackd ${reason}`, { count: packets, help });
  }
  return counters;
}

/** A device or daemon that is new has lost nothing before. */
export function risen(before: Counters, after: Counters): RisenCounter[] {
  return [...after].flatMap(([name, { count, help }]) => {
    const by = count - (before.get(name)?.count ?? 0);
    return by > 0 ? [{ name, help, by }] : [];
  });
}

/** Pairs of lines: `Ip: Forwarding DefaultTTL …` and `Ip: 1 64 …`. */
export function parseSnmp(listing: string): Map<string, number> {
  const values = new Map<string, number>();
  const lines = listing.split("\n").filter(Boolean);
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [group = "", ...names] = lines[index]?.split(" ") ?? [];
    const [, ...numbers] = lines[index + 1]?.split(" ") ?? [];
    for (const [column, name] of names.entries()) {
      values.set(`${group.replace(":", "")}.${name}`, Number(numbers[column]));
    }
  }
  return values;
}

/** @param from source and device of a packet to be forwarded; null: one of this host */
export async function routeChoice(
  netns: string | null,
  destination: string,
  from: { readonly address: string; readonly device: string } | null,
): Promise<RouteChoice> {
  const where = netns === null ? [] : ["-n", netns];
  const how = from === null ? [] : ["from", from.address, "iif", from.device];
  const { status, stdout, stderr } = await attempt("ip", [...where, "route", "get", destination, ...how]);
  const words = (status === 0 ? stdout : stderr).replace(/\s*(cache|uid [0-9]+)( <[^>]*>)?/g, "");
  const answer = words.replace("RTNETLINK answers: ", "").replace(/\s+/g, " ").trim();
  const isRoute = status === 0 && !/^(unreachable|blackhole|prohibit) /.test(answer);
  return { text: answer, isRoute };
}

export async function readLinkFacts(netns: string | null): Promise<LinkFact[]> {
  return (await ipJson<IpLink>(netns, ["-d", "link"])).map(({ ifname, operstate, flags, linkinfo }) => {
    const { id, port } = linkinfo?.info_data ?? {};
    return {
      name: ifname,
      isUp: flags.includes("UP") && operstate !== "DOWN" && operstate !== "LOWERLAYERDOWN",
      isBridge: linkinfo?.info_kind === "bridge",
      vxlan: linkinfo?.info_kind === "vxlan" ? { vni: id ?? 0, port: port ?? 0 } : null,
    };
  });
}

export async function readNeighbours(netns: string | null): Promise<NeighbourFact[]> {
  const listed = await ipJson<{ readonly dst: string; readonly dev: string; readonly state?: readonly string[] }>(
    netns,
    ["neigh"],
  );
  return listed.map(({ dst, dev, state }) => ({ address: dst, device: dev, states: state ?? [] }));
}

export async function forwards(netns: string | null): Promise<boolean> {
  return (await text(netns, "cat", "/proc/sys/net/ipv4/ip_forward")).trim() === "1";
}

export async function ownAddresses(netns: string | null): Promise<string[]> {
  const listed = await ipJson<{ readonly addr_info?: readonly { readonly local?: string }[] }>(netns, ["-4", "addr"]);
  return listed.flatMap(({ addr_info }) =>
    (addr_info ?? []).flatMap(({ local }) => (local === undefined ? [] : [local])),
  );
}

interface IpLink {
  readonly ifname: string;
  readonly operstate: string;
  readonly flags: readonly string[];
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: { readonly id?: number; readonly port?: number };
  };
  readonly stats64?: Readonly<Record<"rx" | "tx", Readonly<Record<"dropped" | "errors", number>>>>;
}

async function ipJson<T>(netns: string | null, args: readonly string[]): Promise<readonly T[]> {
  const where = netns === null ? [] : ["-n", netns];
  return JSON.parse((await run("ip", ["-j", ...where, ...args])) || "[]");
}
