// What real daemons tell Prometheus:
//
//   a: eth0 192.168.50.10 ──┐
//   b: eth0 192.168.50.11 ──┼── br0
//   c: eth0 192.168.50.12 ──┘
import t, { type Test } from "tap";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { scrape } from "../support/metrics.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { received } from "../support/traffic.js";

const STREAM_BYTES = 3_000_000;
/** A TCP stream of them, its headers and acknowledgements included, in both directions together. */
const STREAM_LIMIT_BYTES = 1.1 * STREAM_BYTES;
const ECHO_BYTES = 84; // IPv4, ICMP, 56

const MODES = [
  { name: "udp", config: { Type: "udp" }, flags: [] },
  { name: "udp, one packet a call", config: { Type: "udp" }, flags: ["--naive"] },
  { name: "vxlan in user space", config: { Type: "vxlan" }, flags: ["--vxlan-engine", "userspace"] },
] as const;

withDaemons(t, import.meta.url, async () => {
  const [a, b, c] = await Promise.all([
    makeHost("a", "192.168.50.10"),
    makeHost("b", "192.168.50.11"),
    makeHost("c", "192.168.50.12"),
  ]);
  const hosts = [a, b, c];

  async function start(t: Test, backend: object, ...flags: readonly string[]): Promise<Place> {
    const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }));
    await place.startAll(t, hosts, () => flags);
    await until("all know each other", () => hosts.every((host) => place.status(host).peers.length === 2));
    return place;
  }

  for (const { name, config, flags } of MODES) {
    t.test(
      `${name}: bytes are counted for the peer that they went to and came from, and for nobody else`,
      async (t) => {
        const place = await start(t, config, ...flags);
        const before = scrape(place.socket(a));
        await received(a, b, address(b), Buffer.alloc(STREAM_BYTES));
        const after = scrape(place.socket(a));
        const grown = (peer: Host, direction: string): number => {
          const labels = { peer: peer.address, node: peer.name, direction };
          return after.value("hopsack_peer_bytes_total", labels) - before.value("hopsack_peer_bytes_total", labels);
        };
        t.ok(grown(b, "sent") > STREAM_BYTES && grown(b, "sent") < STREAM_LIMIT_BYTES, `${grown(b, "sent")} sent`);
        t.ok(grown(b, "received") > 0 && grown(b, "received") < STREAM_BYTES / 10, `${grown(b, "received")} received`);
        t.same([grown(c, "sent"), grown(c, "received")], [0, 0]);
        t.notOk(
          after.labels("hopsack_peer_bytes_total").some(({ peer }) => peer === "other"),
          "there are no others",
        );

        await until("the other end has counted the same", () => {
          const sent = scrape(place.socket(a)).value("hopsack_peer_bytes_total", {
            peer: b.address,
            direction: "sent",
          });
          const labels = { peer: a.address, direction: "received" };
          return scrape(place.socket(b)).value("hopsack_peer_bytes_total", labels) === sent;
        });
        const packets = after.value("hopsack_packets_total", { direction: "sent" });
        const rounds = after.value("hopsack_batch_packets_count", { direction: "sent" });
        t.ok(rounds > 0 && rounds <= packets, `${packets} packets in ${rounds} rounds`);
        t.equal(after.value("hopsack_batch_packets_sum", { direction: "sent" }), packets);
      },
    );
  }

  t.test("--metrics-per-peer bounds who is told one by one; the rest is one sum, and nobody is in both", async (t) => {
    const place = await start(t, { Type: "udp" }, "--metrics-per-peer", "1");
    for (const to of [b, c]) run(`ip netns exec a ping -q -c 3 -i 0.01 -I ${address(a)} ${address(to)}`);
    const page = scrape(place.socket(a));
    const peers = page.labels("hopsack_peer_bytes_total").map(({ peer, direction }) => `${peer} ${direction}`);
    t.equal(peers.length, 4);
    const [one = ""] = peers;
    t.ok(
      [b.address, c.address].some((address) => one.startsWith(address)),
      one,
    );
    for (const direction of ["sent", "received"]) {
      t.equal(page.value("hopsack_peer_bytes_total", { peer: "other", direction }), 3 * ECHO_BYTES);
    }
  });

  t.test(
    "--metrics-per-peer 0 tells sums only, and a mode that the kernel carries tells no bytes of peers",
    async (t) => {
      const place = await start(t, { Type: "udp" }, "--metrics-per-peer", "0");
      const page = scrape(place.socket(a));
      t.same([...new Set(page.labels("hopsack_peer_bytes_total").map(({ peer }) => peer))], ["other"]);
      const kernel = new Place(t, '{"Network": "10.245.0.0/16", "Backend": {"Type": "vxlan"}}');
      await kernel.start(t, a, "--device", "flannel1").logged("ready");
      t.same(scrape(kernel.socket(a)).labels("hopsack_peer_bytes_total"), []);
    },
  );

  function address({ name }: Host): string {
    return `10.244.${hosts.findIndex((host) => host.name === name) + 1}.0`;
  }
});
