// Every mode does the same things on the same network, and leaves the same nothing behind. Three hosts with a pod each; where a
// mode can cross a router the third host is behind one:
//
//   pod 10.244.1.2 ── [a 192.168.50.10] ──┐
//   pod 10.244.2.2 ── [b 192.168.50.11] ──┼── br0 ── [r] ── br1 ── [c 172.16.0.12] ── pod 10.244.3.2
//   pod 10.244.3.2 ── [d 192.168.50.12] ──┘  instead of c, in modes that need one link
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Test } from "tap";
import { type Daemon, type Host, hopsack, makeHost, withDaemons } from "./hopsackd.js";
import { run, until } from "./netns.js";
import { Place } from "./place.js";
import { ping, pings, received } from "./traffic.js";

const STREAM_BYTES = 10_000_000;
const NARROW_MTU = 1400;
const PLAIN_NIC = "tso gso tx-udp-segmentation tx-udp_tnl-segmentation tx-udp_tnl-csum-segmentation".split(" ");

/** A host with its place in the overlay: subnet 10.244.<number>.0/24. */
export interface Member extends Host {
  readonly number: number;
}

/** What a mode adds to a host's kernel, line by line in the words of iproute2 and bridge. */
export interface Traces {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly neighbours: readonly string[];
  readonly fdb: readonly string[];
}

export interface Mode {
  readonly name: string;
  /** Of the network configuration. */
  readonly backend: object;
  readonly flags: (host: Host) => readonly string[];
  /** Of the pods, as subnet.env says. */
  readonly mtuBytes: number;
  /** Whether all hosts have to be on one link. */
  readonly isOneLink: boolean;
  /** Packets flow while no daemon runs. */
  readonly isKernels: boolean;
  /** The site's router knows the way to every subnet: the mode does not carry packets. */
  readonly isRouted: boolean;
  /** @param macOf the tunnel end's, from the peer's lease */
  readonly traces: (own: Member, peers: readonly Member[], macOf: (peer: Member) => string) => Traces;
}

/** One line of nothing but what a reader of the tool's output would compare. */
const trimmed = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

const columnsOf = (text: string, pattern: RegExp): string[] =>
  trimmed(text).map((line) => pattern.exec(line)?.[1]?.replace(/ +/g, " ") ?? line);

interface HostText extends Traces {
  readonly rules: readonly string[];
}

/** All of the kernel's state that a mode could touch. */
function textOf({ name }: Host): HostText {
  return {
    links: columnsOf(run(`ip -n ${name} -o link show`), /^\d+: (\S+: <\S+> mtu \d+)/),
    addresses: columnsOf(run(`ip -n ${name} -o -4 addr show`), /^\d+: (\S+ +inet \S+)/),
    routes: trimmed(run(`ip -n ${name} -4 route show`)),
    neighbours: trimmed(run(`ip -n ${name} -4 neigh show nud permanent`)),
    fdb: trimmed(run(`bridge -n ${name} fdb show`)),
    rules: trimmed(run(`ip netns exec ${name} nft list ruleset`)),
  };
}

/** flannel's rules for --ip-masq, as nft shows them. */
function masqueradeRules({ number }: Member): string[] {
  const [network, subnet] = ["10.244.0.0/16", `10.244.${number}.0/24`];
  return [
    "table inet hopsack-flannel0 {",
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    "meta mark & 0x00004000 == 0x00004000 return",
    `ip saddr ${subnet} ip daddr ${network} return`,
    `ip saddr ${network} ip daddr ${subnet} return`,
    `ip saddr != ${network} ip daddr ${subnet} return`,
    `ip saddr ${network} ip daddr != 224.0.0.0/4 masquerade fully-random`,
    `ip saddr != ${network} ip daddr ${network} masquerade fully-random`,
    "}",
    "}",
  ];
}

const sortedText = ({ rules, ...tables }: HostText): object => ({
  ...Object.fromEntries(Object.entries(tables).map(([name, lines]) => [name, lines.toSorted()])),
  rules,
});

const pod = ({ number }: Member): string => `10.244.${number}.2`;
const podHost = (member: Member): Host => ({ name: `pod-${member.name}`, address: pod(member) });

function makePod(member: Member): void {
  const { name, number } = member;
  const { name: netns } = podHost(member);
  run(`ip netns add ${netns}`);
  run(`ip -n ${name} link add pod type veth peer name eth0 netns ${netns}`);
  run(`ip -n ${name} addr add 10.244.${number}.1/24 dev pod`);
  run(`ip -n ${name} link set pod up`);
  run(`ip -n ${netns} addr add ${pod(member)}/24 dev eth0`);
  run(`ip -n ${netns} link set lo up`);
  run(`ip -n ${netns} link set eth0 up`);
  run(`ip -n ${netns} route add default via 10.244.${number}.1`);
}

interface World {
  readonly a: Member;
  readonly b: Member;
  /** Behind the router. */
  readonly c: Member;
  /** On the link of a and b; the number of c. */
  readonly d: Member;
  readonly router: Host;
}

async function makeWorld(): Promise<World> {
  run("ip link add br1 type bridge");
  run("ip link set br1 up");
  const a = { ...(await makeHost("a", "192.168.50.10")), number: 1 };
  const b = { ...(await makeHost("b", "192.168.50.11")), number: 2 };
  const c = { ...(await makeHost("c", "172.16.0.12", { bridge: "br1" })), number: 3 };
  const d = { ...(await makeHost("d", "192.168.50.12")), number: 3 };
  const router = await makeHost("r", "192.168.50.1");
  run("ip link add v-r1 type veth peer name eth1 netns r");
  run("ip link set v-r1 master br1 up");
  run("ip -n r addr add 172.16.0.1/24 dev eth1");
  run("ip -n r link set eth1 up");
  for (const link of ["all", "eth0"]) run(`ip netns exec r sysctl -q -w net.ipv4.conf.${link}.send_redirects=0`);
  for (const { name } of [a, b, d]) run(`ip -n ${name} route add default via 192.168.50.1`);
  run("ip -n c route add default via 172.16.0.1");
  for (const member of [a, b, c, d]) makePod(member);
  await until("the router routes", () => pings(a, c.address));
  return { a, b, c, d, router };
}

/** The hosts of one mode, with their daemons. */
class Site {
  readonly members: readonly [Member, Member, Member];
  readonly #t: Test;
  readonly #place: Place;
  readonly #before: ReadonlyMap<Host, HostText>;
  readonly #daemons = new Map<Member, Daemon>();
  #mode: Mode;

  constructor(t: Test, { a, b, c, d }: World, mode: Mode) {
    this.#t = t;
    this.#mode = mode;
    this.members = [a, b, mode.isOneLink ? d : c];
    this.#before = new Map(this.members.map((member) => [member, textOf(member)]));
    this.#place = new Place(t, configOf(mode));
    for (const member of this.members) this.#place.reserve(member, `10.244.${member.number}.0/24`);
  }

  async start(member: Member): Promise<void> {
    const daemon = this.#place.start(this.#t, member, "--ip-masq", ...this.#mode.flags(member));
    this.#daemons.set(member, daemon);
    await daemon.logged("ready");
  }

  kill(member: Member, signal: NodeJS.Signals): Promise<unknown> {
    const daemon = this.#daemons.get(member);
    daemon?.kill(signal);
    return daemon?.ended ?? Promise.reject(new Error(`${member.name} has no daemon`));
  }

  /** Every member has exactly what the mode says, besides what it had before the first start. */
  async isSettled(t: Test, ...gone: readonly Member[]): Promise<void> {
    const present = this.members.filter((member) => !gone.includes(member));
    for (const member of present) {
      const peers = present.filter((peer) => peer !== member);
      await this.#hasText(t, member, () => this.#expected(member, peers));
    }
  }

  /** As before the first start. */
  async isClean(t: Test): Promise<void> {
    for (const member of this.members) {
      await this.#hasText(t, member, () => this.#before.get(member) ?? textOf(member));
    }
  }

  switchTo(mode: Mode): void {
    this.#mode = mode;
    writeFileSync(join(this.#place.store, "config.json"), configOf(mode));
  }

  cleanUp(member: Member): string {
    return this.#place.cleanUp(member);
  }

  warnings(member: Member): unknown {
    return JSON.parse(hopsack(member, `status --json --socket ${this.#place.socket(member)}`)).warnings;
  }

  #macOf({ number }: Member): string {
    const lease = join(this.#place.store, "subnets", `10.244.${number}.0-24.json`);
    return JSON.parse(readFileSync(lease, "utf8")).BackendData?.VtepMAC ?? "none yet";
  }

  async #hasText(t: Test, member: Member, expected: () => HostText): Promise<void> {
    const isThere = () => isDeepStrictEqual(sortedText(textOf(member)), sortedText(expected()));
    await until(`${member.name} is as it must be`, isThere).catch(() => {});
    t.strictSame(sortedText(textOf(member)), sortedText(expected()), `what ${member.name} shows`);
  }

  #expected(own: Member, peers: readonly Member[]): HostText {
    const before = this.#before.get(own) ?? textOf(own);
    const { rules, ...tables } = before;
    const traces = this.#mode.traces(own, peers, (peer) => this.#macOf(peer));
    return {
      links: [...tables.links, ...traces.links],
      addresses: [...tables.addresses, ...traces.addresses],
      routes: [...tables.routes, ...traces.routes],
      neighbours: [...tables.neighbours, ...traces.neighbours],
      fdb: [...tables.fdb, ...traces.fdb],
      rules: [...rules, ...masqueradeRules(own)],
    };
  }
}

function configOf({ backend }: Mode): string {
  return JSON.stringify({ Network: "10.244.0.0/16", Backend: backend });
}

/** Every pod pings every other. */
async function reachesAll(t: Test, members: readonly Member[]): Promise<void> {
  for (const from of members) {
    for (const to of members.filter((member) => member !== from)) {
      await until(`pod of ${from.name} → ${to.name}`, () => pings(podHost(from), pod(to))).catch(() => {});
      t.ok(pings(podHost(from), pod(to)), `pod of ${from.name} → pod of ${to.name}`);
    }
  }
}

/** Both ways between the first pod and each other one, every byte. */
async function streams(t: Test, [first, ...others]: readonly [Member, ...Member[]]): Promise<void> {
  const bytes = randomBytes(STREAM_BYTES);
  const hash = createHash("sha256").update(bytes).digest("hex");
  for (const other of others) {
    for (const [from, to] of [
      [first, other],
      [other, first],
    ] as const) {
      t.equal(await received(podHost(from), podHost(to), pod(to), bytes), hash, `${from.name} → ${to.name}`);
    }
  }
}

function setOffloads(hosts: readonly Host[], state: "on" | "off"): void {
  const words = PLAIN_NIC.map((feature) => `${feature} ${state}`).join(" ");
  for (const { name } of hosts) run(`ip netns exec ${name} ethtool -K eth0 ${words}`);
}

function setPathMtu(bytes: number | null): void {
  const mtu = bytes === null ? "" : ` mtu lock ${bytes}`;
  run(`ip -n r route replace 192.168.50.0/24 dev eth0 proto kernel scope link src 192.168.50.1${mtu}`);
  run(`ip -n r route replace 172.16.0.0/24 dev eth1 proto kernel scope link src 172.16.0.1${mtu}`);
}

/** What hosts and pods were told of smaller MTUs on the way. */
function forgetPathMtus(members: readonly Member[]): void {
  for (const member of members)
    for (const { name } of [member, podHost(member)]) run(`ip -n ${name} route flush cache`);
}

/** The router of the site knows where the subnets are, when nobody else does. */
function teachRouter(members: readonly Member[], isKnown: boolean): void {
  for (const { number, address } of members) {
    run(`ip -n r route ${isKnown ? "add" : "del"} 10.244.${number}.0/24 via ${address}`);
  }
}

/** Declares the whole row of each mode; `next` is the mode that it is switched to. */
export function testModes(t: Test, fileUrl: string, rows: readonly (readonly [mode: Mode, next: Mode])[]): void {
  withDaemons(t, fileUrl, async () => {
    t.jobs = 1;
    const world = await makeWorld();
    for (const [mode, next] of rows) t.test(mode.name, (t) => testMode(t, world, mode, next));
  });
}

async function testMode(t: Test, world: World, mode: Mode, next: Mode): Promise<void> {
  const site = new Site(t, world, mode);
  const { members } = site;
  const [a, b, far] = members;
  const hasRouter = !mode.isOneLink;
  if (mode.isRouted) teachRouter(members, true);
  for (const member of members) await site.start(member);

  await t.test("pods ping each other, and the kernel's state is the expected text", async (t) => {
    await site.isSettled(t);
    await reachesAll(t, members);
    for (const member of members) t.strictSame(site.warnings(member), []);
  });

  await t.test("streams arrive whole both ways, offloads on and off", async (t) => {
    await streams(t, members);
    setOffloads(members, "off");
    await streams(t, members).finally(() => setOffloads(members, "on"));
    await site.isSettled(t);
  });

  await t.test(`packets of ${mode.mtuBytes} bytes pass whole, and the sender of longer ones is told`, async (t) => {
    const payload = mode.mtuBytes - 28; // without the headers of IPv4 and ICMP
    t.ok(pings(podHost(a), pod(far), "-M", "do", "-s", `${payload}`));
    for (const peer of [b, far]) ping(podHost(a), pod(peer), "-M", "do", "-s", `${payload + 1}`); // the first one teaches
    t.match(ping(podHost(a), pod(far), "-M", "do", "-s", `${payload + 1}`), new RegExp(`mtu ?= ?${mode.mtuBytes}`));
    if (hasRouter) {
      setPathMtu(NARROW_MTU);
      await streams(t, [a, far]).finally(() => setPathMtu(null));
    }
    forgetPathMtus(members);
    await site.isSettled(t);
  });

  await t.test("a daemon that is killed and started again, and one that is stopped and started", async (t) => {
    await site.kill(a, "SIGKILL");
    if (mode.isKernels) await reachesAll(t, members);
    await site.start(a);
    await site.kill(b, "SIGTERM");
    await site.start(b);
    await site.isSettled(t);
    await reachesAll(t, members);
  });

  await t.test("a host that leaves is forgotten, and known again when it is back", async (t) => {
    await site.kill(far, "SIGTERM");
    await site.isSettled(t, far);
    if (!mode.isRouted) t.match(ping(podHost(a), pod(far)), / 100% packet loss|Unreachable/);
    await reachesAll(t, [a, b]);
    await site.start(far);
    await site.isSettled(t);
    await reachesAll(t, members);
  });

  await t.test(`the network's mode becomes ${next.name}`, async (t) => {
    if (mode.isRouted) teachRouter(members, false);
    site.switchTo(next);
    await site.isSettled(t);
    await reachesAll(t, members);
  });

  await t.test("after SIGKILL and cleanup every host is as before the first start", async (t) => {
    for (const member of members) {
      await site.kill(member, "SIGKILL");
      site.cleanUp(member);
    }
    await site.isClean(t);
  });
}
