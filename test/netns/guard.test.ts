// --guard: nftables drops what others than known hosts send to the tunnel's port, before the daemon sees it, and counts it. m has no daemon, but
// the address of a member and one of nobody.
//
//   [a 192.168.50.10, 10.244.1.0/24, the guard on] ──┐
//   [b 192.168.50.11, 10.244.2.0/24] ────────────────┼── br0
//   [m 192.168.50.12, 10.244.3.0/24, and 192.168.50.77] ──┘
import { execFileSync } from "node:child_process";
import t, { type Test } from "tap";
import { innerPacket, send } from "../support/forged.js";
import { type Daemon, hopsack, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { UDP, VXLAN, VXLAN_USERSPACE } from "../support/modes.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

const MEMBER = "192.168.50.12";
const STRANGER = "192.168.50.77";
const COUNT = 8;
const TABLE = "inet hopsack_guard-flannel0";
const PORTS = new Map([
  [UDP, 8285],
  [VXLAN, 8472],
  [VXLAN_USERSPACE, 8472],
]);
const payload = innerPacket("10.244.3.5", "10.244.1.5");
const FOREIGN =
  "table inet site { chain input { type filter hook input priority filter; policy accept; counter; }; }\n";

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const m = await makeHost("m", MEMBER);
  ip(m, `addr add ${STRANGER}/24 dev eth0`);
  const trials = new Trials(import.meta.url, "Strangers before the guard (--guard)");
  const nft = (words: string): string => run(`ip netns exec a nft ${words}`);
  execFileSync("ip", ["netns", "exec", "a", "nft", "-f", "-"], { input: FOREIGN });
  const foreign = (): string => nft("-s list table inet site");
  const foreignBefore = foreign();
  const tables = (): string[] => nft("list tables").trim().split("\n");

  const start = async (t: Test, mode: typeof UDP): Promise<{ place: Place; onA: Daemon; flags: readonly string[] }> => {
    const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: mode.backend }));
    const flags = [...mode.flags(a), "--probe-peers=false", "--guard"];
    const [onA] = await place.startAll(t, [a, b], (host) => (host === a ? flags : flags.slice(0, -1)));
    if (onA === undefined) throw new Error("no daemon");
    await until("the overlay carries", () => pings(a, "10.244.2.0") && pings(b, "10.244.1.0"));
    return { place, onA, flags };
  };
  const strike = (source: string, port: number): void =>
    send(m, { to: a.address, port }, [{ source, payload, count: COUNT }]);
  const dropped = (place: Place): number => place.status(a).guard?.droppedPackets ?? Number.NaN;
  const unknown = (place: Place): number | undefined =>
    place.status(a).drops.find(({ reason }) => reason === "unknown_sender")?.packets;

  for (const [mode, port] of PORTS) {
    t.test(`${mode.name}: strangers are dropped and counted, peers are not`, async (t) => {
      const { place } = await start(t, mode);
      const before = dropped(place);
      strike(STRANGER, port);
      t.equal(dropped(place) - before, COUNT, "all of them, by nftables");
      if (mode !== VXLAN) t.equal(unknown(place), 0, "the daemon has not seen one");
      t.match(place.status(a).guard, { table: TABLE, ports: [port], peers: 1 });
      t.match(hopsack(a, `status --socket ${place.socket(a)}`), new RegExp(`guard +UDP ${port} for 1 known address, `));
      const metrics = run(`ip netns exec ${a.name} curl -s --unix-socket ${place.socket(a)} http://h/metrics`);
      t.match(metrics, new RegExp(`^hopsack_guard_dropped_packets_total ${dropped(place)}$`, "m"));
      t.match(metrics, /^hopsack_guard_peers 1$/m);
      t.ok(pings(a, "10.244.2.0") && pings(b, "10.244.1.0"), "the overlay carries");
      t.ok(pings(m, a.address), "whatever is not for that port passes");
      t.equal(foreign(), foreignBefore, "rules of others are as they were");
    });
  }

  t.test("a new peer is let in with the forwarding table that names it, and out again", async (t) => {
    const { place } = await start(t, UDP);
    strike(MEMBER, 8285);
    const strangers = dropped(place);
    place.writeMember(MEMBER, "10.244.3.0/24");
    await until("a knows it", () => place.status(a).peers.length === 2);
    const received = place.status(a).traffic?.received.packets ?? 0;
    strike(MEMBER, 8285);
    await until(
      "its first packets arrive",
      () => (place.status(a).traffic?.received.packets ?? 0) === received + COUNT,
    );
    t.equal(dropped(place), strangers, "none of them was dropped, and the count went on");
    run(`rm ${place.store}/subnets/10.244.3.0-24.json`);
    await until("a has forgotten it", () => place.status(a).peers.length === 1);
    strike(MEMBER, 8285);
    t.equal(dropped(place), strangers + COUNT);
  });

  t.test(
    "who damages the guard gets it put back; a killed daemon leaves it, the next one goes on with it",
    async (t) => {
      const { place, onA, flags } = await start(t, UDP);
      const rules = nft(`-s list chain ${TABLE} input`);
      nft(`flush table ${TABLE}`);
      await until("the rules are back", () => nft(`-s list chain ${TABLE} input`) === rules);
      nft(`delete table ${TABLE}`);
      await until("the table is back", () => tables().includes(`table ${TABLE}`));

      onA.kill("SIGKILL");
      await onA.ended;
      const counted = (): string => nft(`list counter ${TABLE} strangers`);
      const before = counted();
      strike(STRANGER, 8285);
      t.not(counted(), before, "it works while nobody runs");
      const next = place.start(t, a, ...flags);
      await next.logged("ready");
      t.equal(dropped(place), COUNT, "and the count goes on");
      const successor = place.start(t, a, ...flags, "--takeover", place.socket(a));
      await successor.logged("ready");
      await next.ended;
      t.equal(dropped(place), COUNT, "also from one daemon to the next");
      await until("the overlay carries", () => pings(b, "10.244.1.0"));

      t.equal((await successor.stop()).status, 0);
      t.strictSame(tables(), ["table inet site"], "a stop removes it");
      const killed = place.start(t, a, ...flags);
      await killed.logged("ready");
      killed.kill("SIGKILL");
      await killed.ended;
      t.match(place.cleanUp(a), TABLE);
      t.strictSame(tables(), ["table inet site"], "and so does hopsack cleanup");
      t.equal(foreign(), foreignBefore);
    },
  );

  t.test("what happened, in TRIALS.md", async () => {
    trials.row({
      tried: "datagrams of a stranger to the port of udp or vxlan, the guard on",
      happened: "dropped by nftables and counted; the daemon sees none",
    });
    trials.row({
      tried: "the first packets of a new peer, the guard on",
      happened: "arrive once the forwarding table names it; none is dropped",
    });
    trials.row({
      tried: "the guard's rules flushed, its table deleted",
      happened: "put back; rules of others are not touched",
    });
    trials.row({
      tried: "a daemon with the guard killed, started again, taken over, stopped",
      happened: "the guard stays in force until the stop, or `hopsack cleanup`; its count goes on",
    });
  });
});
