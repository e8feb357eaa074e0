// The kernel as the judge of what becomes of packets on the way (test/support/kernel-judge.ts): thousands of generated flows over plain veth, and
// then through Hopsack by each engine, with offloads and without. HOPSACK_JUDGE_FLOWS says how many (1500), HOPSACK_JUDGE_SEED which (1).
import { appendFileSync } from "node:fs";
import t, { type Test } from "tap";
import { carried, cutSuperPackets, EBPF, UDP, VXLAN, type Wire } from "../support/accelerated.js";
import { withDaemons } from "../support/hopsackd.js";
import {
  differences,
  isConnected,
  makeWorld,
  type Order,
  Round,
  type Seen,
  type World,
  withRoutes,
} from "../support/kernel-judge.js";
import { Place } from "../support/place.js";

const FLOWS = Number(process.env.HOPSACK_JUDGE_FLOWS ?? 1500);
const SEED = Number(process.env.HOPSACK_JUDGE_SEED ?? 1);
/** As many as are kept in memory at a time. */
const ROUND_FLOWS = 10_000;
/** Of the flows that are not as they should be. */
const SHOWN = 5;
const LIMIT_SECONDS = 300 + FLOWS / 10;
const PUMP = ["--engine", "pump", "--probe-peers=false"];

interface Way {
  readonly name: string;
  readonly wire: Wire;
  readonly flags: readonly string[];
  readonly order: Order;
  /** The hosts' links cut super-packets. */
  readonly isCut?: boolean;
}

const UDP_PUMP: Way = { name: "udp, the pump", wire: UDP, flags: PUMP, order: "flow" };
const UDP_EBPF: Way = { name: "udp, the eBPF engine", wire: UDP, flags: EBPF, order: "none" };
const UDP_EBPF_PIECES: Way = {
  ...UDP_EBPF,
  name: "udp, the eBPF engine, merging what arrives in pieces",
  isCut: true,
};
const VXLAN_EBPF_PIECES: Way = {
  ...UDP_EBPF_PIECES,
  name: "vxlan, the eBPF engine, merging what arrives in pieces",
  wire: VXLAN,
  flags: [...VXLAN.flags, ...EBPF],
};
const VXLAN_PUMP: Way = {
  name: "vxlan in user space",
  wire: VXLAN,
  flags: [...VXLAN.flags, ...PUMP],
  order: "fragments apart",
};

const withoutOffloads = (way: Way): Way => ({
  ...way,
  name: `${way.name}, without offloads`,
  flags: [...way.flags, "--offload", "none"],
});

/** What is judged by the same flows. */
interface Trial {
  readonly superMtuBytes: number | null;
  readonly ways: readonly Way[];
}

const TRIALS: readonly Trial[] = [
  { superMtuBytes: null, ways: [UDP_PUMP, withoutOffloads(UDP_PUMP), VXLAN_PUMP, withoutOffloads(VXLAN_PUMP)] },
  { superMtuBytes: null, ways: [UDP_EBPF_PIECES, VXLAN_EBPF_PIECES] },
  // A TCP super-packet of another engine than the pump comes over veth uncut, and nobody says how long its segments were: as long as fits.
  { superMtuBytes: UDP.mtuBytes, ways: [UDP_EBPF, withoutOffloads(UDP_EBPF)] },
];

/** Daemons on a and b, 10.244.1.0/24 and fd00:0:0:1::/64 on the first. */
async function startDaemons(t: Test, { a, b }: World, { wire, flags }: Way) {
  const network = { Network: "10.244.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/48", Backend: wire.backend };
  const place = new Place(t, JSON.stringify(network));
  const daemons = [a, b].map((host, index) => {
    place.reserve(host, `10.244.${index + 1}.0/24`);
    const subnetV6 = `FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=fd00:0:0:${index + 1}::1/64\n`;
    appendFileSync(place.subnetFile(host), subnetV6);
    return place.start(t, host, ...flags);
  });
  await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
  return { place, pids: daemons.map(({ pid }) => pid) };
}

async function testWay(t: Test, world: World, way: Way, round: Round, plain: Seen): Promise<void> {
  if (way.isCut) cutSuperPackets(t, [world.a, world.b], "off");
  const { place, pids } = await startDaemons(t, world, way);
  await isConnected(world);
  const seen = round.replay(world, pids);
  const differing = differences(plain, seen, way.order);
  t.equal(seen.packets, plain.packets);
  t.strictSame(differing.slice(0, SHOWN), [], `${differing.length} of ${plain.flows.size} flows differ`);
  const { received } = place.status(world.b).traffic ?? {};
  const writes = `${received?.tunCalls} writes to b's TUN, ${received?.superPackets} super-packets`;
  t.comment(`${way.name}: ${round.flows.length} flows, ${seen.packets} packets compared; ${writes}`);
  const isMerged = (received?.superPackets ?? 0) > 0;
  t.equal(isMerged, !way.flags.includes("none"), "the pump merges when it may");
  if (way.flags.includes("ebpf")) t.ok(carried(place, world.b).received > 0, "the programs carried");
}

withDaemons(
  t,
  import.meta.url,
  async () => {
    const world = await makeWorld();
    for (const trial of TRIALS) {
      for (let first = 0; first < FLOWS; first += ROUND_FLOWS) {
        const round = new Round(
          world,
          SEED + first / ROUND_FLOWS,
          Math.min(ROUND_FLOWS, FLOWS - first),
          trial.superMtuBytes,
        );
        t.teardown(() => round.forget());
        let plain: Seen | null = null;
        t.test(`plain veth loses nothing of ${round.flows.length} flows, seed ${round.seed}`, async (t) => {
          await withRoutes(world, () => {
            plain = round.replay(world, []);
          });
          t.equal(plain?.packets, round.packets);
        });
        for (const way of trial.ways) {
          t.test(`${way.name}: the receiver sees what it sees over plain veth`, async (t) => {
            if (plain === null) return t.fail("nothing to compare with");
            return testWay(t, world, way, round, plain);
          });
        }
      }
    }
  },
  LIMIT_SECONDS,
);
