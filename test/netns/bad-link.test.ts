// TCP streams through a cable that loses, doubles, delays, overtakes and damages frames, their acknowledgements among them: every byte
// arrives as it was sent, what was damaged is refused by name or by the checksum that it was sent with, and of each frame somebody counts
// what became of it.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── bad-link.py ── [b 192.168.50.11, 10.244.2.0/24]
import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import t from "tap";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { BadLink, type Badness, type End, refused, unexplained } from "../support/bad-link.js";
import { withDaemons } from "../support/hopsackd.js";
import type { Mode } from "../support/mode-matrix.js";
import { IPIP, UDP, UDP_EBPF, VXLAN_USERSPACE } from "../support/modes.js";
import { until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings, received, sha256 } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

const SEED = 1;
const STREAM_BYTES = 2_000_000;
const SETTLING_LIMIT_MS = 5000;
const UDP_BYTES = 8;
const VXLAN_BYTES = 22;

/** Ways to run the daemons, and where the inner packet begins behind the outer IP header. */
const MODES: readonly { readonly mode: Mode; readonly innerAt: number }[] = [
  { mode: UDP, innerAt: UDP_BYTES },
  { mode: UDP_EBPF, innerAt: UDP_BYTES },
  { mode: VXLAN_USERSPACE, innerAt: UDP_BYTES + VXLAN_BYTES },
  { mode: IPIP, innerAt: 0 },
];

interface Kind {
  readonly tried: string;
  readonly happened: string;
  readonly badness: Badness;
}

const ARRIVES = "streams arrive byte by byte: udp, vxlan and ipip by the pump, udp by the eBPF engine";
const KINDS: readonly Kind[] = [
  {
    tried: "a link that loses three frames in a hundred",
    happened: `${ARRIVES}; no frame is missing but those`,
    badness: { lose: 0.03 },
  },
  {
    tried: "a link that brings one frame in ten twice",
    happened: `${ARRIVES}; each is counted twice`,
    badness: { duplicate: 0.1 },
  },
  { tried: "a link on which one frame in ten is overtaken", happened: ARRIVES, badness: { reorder: 0.1 } },
  { tried: "a link that takes 20 ms", happened: ARRIVES, badness: { delayMs: 20 } },
  {
    tried: "a link that flips a bit in three frames of a hundred",
    happened: `${ARRIVES}; the kernel refuses the datagram, or where it has no checksum whoever the packet is for`,
    badness: { corrupt: 0.03 },
  },
  {
    tried: "a router that damages three inner packets of a hundred, and makes the outer checksum right again",
    happened: `${ARRIVES}; each is dropped by name, or refused for the inner checksum that it was sent with: none is mended`,
    badness: { forge: 0.03 },
  },
  {
    tried: "a link that does all of this at once",
    happened: `${ARRIVES}; of every frame it is known what became of it`,
    badness: { lose: 0.01, duplicate: 0.02, reorder: 0.05, delayMs: 3, corrupt: 0.01, forge: 0.01 },
  },
];

withDaemons(t, import.meta.url, async () => {
  const { link, a, b } = await BadLink.lay(t, SEED);
  const trials = new Trials(import.meta.url, "Bad links");

  for (const { mode, innerAt } of MODES) {
    t.test(mode.name, async (t) => {
      const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: mode.backend }));
      const daemons = await place.startAll(t, [a, b], (host) => [...mode.flags(host), "--probe-peers=false"]);
      await until("the overlay carries", () => pings(a, "10.244.2.0") && pings(b, "10.244.1.0"));
      const logged = daemons.map(({ lines }) => lines.length);
      const look = async (): Promise<[End, End]> => {
        const end = async (host: typeof a): Promise<End> => {
          return { host, status: parseStatus(await fetchStatus(place.socket(host)), place.socket(host)) };
        };
        return [await end(a), await end(b)];
      };
      const balance = async () => {
        const [endA, endB] = await look();
        const { ab, ba } = link.crossed;
        return { ab: unexplained(ab, endA, endB), ba: unexplained(ba, endB, endA) };
      };
      let quiet = await settled(balance);

      for (const { tried, badness } of KINDS) {
        const [refusedBefore, crossedBefore] = [refused((await look())[1]), link.crossed.ab];
        await link.treat({ ...badness, innerAt });
        const bytes = randomBytes(STREAM_BYTES);
        t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes), `${tried}: every byte`);
        await link.treat({});
        const after = await settled(balance, quiet);
        t.strictSame(after, quiet, `${tried}: of each frame it is known what became of it`);
        quiet = after;
        if (badness.forge === undefined || badness.lose !== undefined) continue; // what else is lost hides it
        const forged = link.crossed.ab.forged - crossedBefore.forged;
        t.ok(forged > 0, "some were");
        t.equal(refused((await look())[1]) - refusedBefore, forged, "each by somebody, and not one more");
      }
      const bytes = randomBytes(STREAM_BYTES);
      await link.treat({ ...KINDS.at(-1)?.badness, innerAt });
      t.equal(await received(b, a, "10.244.1.0", bytes), sha256(bytes), "and the other way");
      await link.treat({});
      const said = daemons
        .flatMap(({ lines }, index) => lines.slice(logged[index]))
        .filter(({ event }) => event !== "forwarding_updated"); // of a and b: may be read late
      t.strictSame(said, [], "nothing of it is worth a line in the log");
      t.strictSame((await look())[0].status.warnings, [], "nor a warning");
    });
  }

  t.test("what happened, in TRIALS.md", async () => {
    for (const { tried, happened } of KINDS) trials.row({ tried, happened });
  });
});

/** What is looked at, once it is as wanted; else once it does not change any more, or as it is after the limit. */
async function settled<T>(look: () => Promise<T>, wanted?: T): Promise<T> {
  const deadline = performance.now() + SETTLING_LIMIT_MS;
  let last = await look();
  for (let same = 0; same < 10 && performance.now() < deadline; ) {
    if (wanted !== undefined && isDeepStrictEqual(last, wanted)) return last;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const next = await look();
    same = wanted === undefined && isDeepStrictEqual(next, last) ? same + 1 : 0;
    last = next;
  }
  return last;
}
