// The configuration of our BIRD, written from the plan. Pure. BIRD compares it with what runs and restarts only the sessions that
// changed. What it says of the Network is also how a later process knows which routes were ours.
import type { BgpPlan, BgpSessionKind, BgpSessionPlan, BgpTunnelPlan } from "../plan/plan.js";

/** Of BIRD's own log; as much again is kept beside it. */
const LOG_LIMIT_BYTES = 1_000_000;
/** A peer that dies without a word is noticed after the hold time. */
const TIMES = "hold time 9; keepalive time 3; connect delay time 1; connect retry time 1; error wait time 2, 10;";
const BFD_TIMES = "min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1000 ms; multiplier 5;";

/** calicoctl's, where it has one. */
const NAMES: Readonly<Record<BgpSessionKind, string>> = {
  mesh: "Mesh",
  reflector: "Reflector",
  client: "Client",
  global: "Global",
  node: "Node",
};

/** What BIRD and its people call the session: `Mesh_192_168_50_11`. */
export function sessionName({ kind, address }: Pick<BgpSessionPlan, "kind" | "address">): string {
  return `${NAMES[kind]}_${address.replaceAll(".", "_")}`;
}

/**
 * - Kernel routes stay when BIRD ends (`persist`), for its successor, which leaves them alone until its sessions are back (`graceful
 *   restart`), or for us to remove.
 * - metric 0 prints no metric; the blackhole may have another one.
 * - Routes whose next hop is on no link of ours are kept from the kernel: they would be set as unreachable.
 * - `direct` has the underlay alone: a bridge's subnet in it would beat the lease, which then nobody would be told.
 */
export function birdConfig(plan: BgpPlan, logPath: string): string {
  const { localAddress, asNumber, network, subnet, bfd, sessions, tunnel } = plan;
  return `# Written by hopsackd; changes are lost.
router id ${localAddress};
log "${logPath}" ${LOG_LIMIT_BYTES} "${logPath}.1" { warning, error, fatal, bug };
timeformat protocol "%Y-%m-%dT%H:%M:%S";
graceful restart wait 15;
define NETWORK = ${network};
define SUBNET = ${subnet};

filter from_peer {
  if net ~ [ ${subnet}+ ] then reject;
  if net !~ NETWORK || net.len = NETWORK.len then reject;
${tunnel === null ? "" : tunnelText(tunnel)}  accept;
}
filter own_subnet {
  if source = RTS_STATIC && net = SUBNET then accept;
  reject;
}
filter own_subnet_and_heard {
  if source = RTS_BGP then accept;
  if source = RTS_STATIC && net = SUBNET then accept;
  reject;
}
filter to_kernel {
  if source = RTS_STATIC && net = SUBNET then { krt_metric = ${plan.blackholeMetric}; accept; }
  if source = RTS_BGP && dest != RTD_UNREACHABLE then accept;
  reject;
}

protocol device { scan time 2; }
protocol direct { ipv4; interface "${plan.underlay}"; }
protocol static lease { ipv4; route SUBNET blackhole; }
protocol kernel { scan time 2; persist; graceful restart; metric 0; ipv4 { import none; export filter to_kernel; }; }
${bfd === "off" ? "" : `protocol bfd { interface "*" { ${BFD_TIMES} }; multihop { ${BFD_TIMES} }; }\n`}
template bgp session {
  local ${localAddress} as ${asNumber}; strict bind on;
  ${TIMES}
  graceful restart on; bfd ${bfd};
  ipv4 { import filter from_peer; export filter own_subnet; };
}
${sessions.map((session) => protocolText(session, plan)).join("")}`;
}

/**
 * The longest prefix that has the next hop decides, as in a routing table; none: tunnelled. BIRD wants the attributes in this order:
 * the gateway is looked for on the device, and need not be there.
 */
function tunnelText({ device, plain, tunnelled }: BgpTunnelPlan): string {
  const way = `{ onlink = true; ifname = "${device}"; gw = bgp_next_hop; accept; }`;
  const lengthOf = (prefix: string): number => Number(prefix.split("/")[1]);
  const rules = [
    ...plain.map((prefix) => ({ prefix, action: "accept;" })),
    ...tunnelled.map((prefix) => ({ prefix, action: way })),
  ].toSorted((a, b) => lengthOf(b.prefix) - lengthOf(a.prefix));
  const lines = rules.map(({ prefix, action }) => `  if bgp_next_hop ~ ${prefix} then ${action}\n`);
  return `${lines.join("")}  onlink = true; ifname = "${device}"; gw = bgp_next_hop;\n`;
}

function protocolText(session: BgpSessionPlan, { localAddress, sessions }: BgpPlan): string {
  const { kind, address, asNumber, password, isPassive, isOnLink } = session;
  const isReflector = sessions.some(({ kind }) => kind === "client");
  const words = [
    `neighbor ${address} as ${asNumber}; ${isOnLink ? "direct" : "multihop"};`,
    ...(isPassive ? ["passive on;"] : []),
    ...(password === null ? [] : [`password "${password}";`]),
    ...(kind === "client" ? [`rr client; rr cluster id ${localAddress};`] : []),
    ...(isReflector && kind !== "global" && kind !== "node" ? ["ipv4 { export filter own_subnet_and_heard; };"] : []),
  ];
  return `protocol bgp ${sessionName(session)} from session { ${words.join(" ")} }\n`;
}

/** The Network that a configuration of ours was written for; null when it is none. */
export function networkOfConfig(text: string): string | null {
  return /^define NETWORK = ([0-9./]+);$/m.exec(text)?.[1] ?? null;
}
