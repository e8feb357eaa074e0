// Kernel settings that keep packets from flowing.
import { type Check, type Finding, NotChecked, problem, warning } from "./check.js";
import { type Facts, linkOf, sysctl } from "./facts.js";

/** What the pump asks for (native/io/udp_socket.cc); the kernel shows twice as much. */
const SOCKET_BUFFER_BYTES = 7 << 20;
const STRICT = 1;

export const SETTINGS_CHECKS: readonly Check[] = [
  {
    id: "ip-forward",
    question: "Does this host forward packets?",
    find: (facts) => {
      const hasIpv6 = facts.report?.lease?.subnetV6 != null;
      const names = ["net/ipv4/ip_forward", ...(hasIpv6 ? ["net/ipv6/conf/all/forwarding"] : [])];
      return names
        .filter((name) => sysctl(facts, name) === "0")
        .map((name) => name.replaceAll("/", "."))
        .map((name) => problem(`${name} is 0, so containers on this host reach nobody`, `sysctl -w ${name}=1`));
    },
  },
  {
    id: "rp-filter",
    question: "Does the kernel take packets whichever interface they come in by?",
    find: strictFilter,
  },
  { id: "br-netfilter", question: "Do the firewall's rules stay out of what bridges carry?", find: bridgeFilter },
  { id: "socket-buffers", question: "Has the tunnel's socket the buffers that it asked for?", find: socketBuffers },
];

/** The stricter of the link's own setting and the one for all is in force. */
function strictFilter(facts: Facts): Finding[] {
  const { device, underlay } = facts.report ?? {};
  const names = [device?.name, underlay?.link].filter((name) => name !== undefined);
  return names.flatMap((name) => {
    const settings = ["all", name].map((link) => ({
      link,
      value: Number(sysctl(facts, `net/ipv4/conf/${link}/rp_filter`)),
    }));
    const strict = settings.find(({ value }) => value === STRICT);
    if (strict === undefined || settings.some(({ value }) => value > STRICT)) return [];
    const setting = `net.ipv4.conf.${strict.link}.rp_filter`;
    const what = `${setting} is 1: packets that arrive on ${name} are dropped without a word when the answer would leave by another interface`;
    return [warning(what, `sysctl -w net.ipv4.conf.${name}.rp_filter=2`)];
  });
}

/** Packets between two containers on one bridge then pass the FORWARD chain. */
async function bridgeFilter(facts: Facts): Promise<Finding[]> {
  if (sysctl(facts, "net/bridge/bridge-nf-call-iptables") !== "1") return [];
  const { chains } = await facts.nftRules();
  if (!chains.some(({ hook, policy }) => hook === "forward" && policy === "drop")) return [];
  if (!facts.links.some(({ kind }) => kind === "bridge")) return [];
  const what =
    "net.bridge.bridge-nf-call-iptables is 1 and the FORWARD policy is drop: packets between containers on one bridge of this host may be dropped";
  return [
    warning(
      what,
      "accept them in FORWARD, or, where no Kubernetes needs it: sysctl -w net.bridge.bridge-nf-call-iptables=0",
    ),
  ];
}

/** Only root of the first user namespace gets more than the kernel's limit. */
async function socketBuffers(facts: Facts): Promise<Finding[]> {
  const { device, traffic, drops = [] } = facts.report ?? {};
  if (!device || device.udpPort === null || !traffic || linkOf(facts, device.name)?.kind !== "tun") return [];
  const full = drops.find(({ reason }) => reason === "receive_buffer_full")?.packets ?? 0;
  const listing = await facts.run("ss", ["-uanmH", "sport", "=", `:${device.udpPort}`]);
  const granted = Number(/\brb(\d+)/.exec(listing)?.[1] ?? Number.NaN);
  if (Number.isNaN(granted)) throw new NotChecked(`ss does not show the socket on UDP ${device.udpPort}`);
  if (granted >= 2 * SOCKET_BUFFER_BYTES) return [];
  const lost = full > 0 ? `, and ${full} datagrams were lost because it was full` : "";
  const what = `the tunnel's socket has a receive buffer of ${granted / 2} bytes instead of ${SOCKET_BUFFER_BYTES}${lost}`;
  return [
    warning(
      what,
      `sysctl -w net.core.rmem_max=${SOCKET_BUFFER_BYTES} net.core.wmem_max=${SOCKET_BUFFER_BYTES}, and restart hopsackd`,
    ),
  ];
}
