// Ten thousand leases in a real etcd, and a real daemon that knows them all.
import t from "tap";
import { EtcdClient } from "../../src/store/etcd-client.js";
import { etcdFor, makeHosts, PREFIX } from "../support/etcd-daemons.js";
import { withDaemons } from "../support/hopsackd.js";
import { until } from "../support/netns.js";
import { residentMegabytes } from "../support/usage.js";

/** Of one event the daemon logs fifty lines in ten seconds, and some are written before. */
const ROUNDS = 40;

withDaemons(t, import.meta.url, async () => {
  const { a } = await makeHosts();

  t.test("ten thousand leases: start, memory, and the way of one change", async (t) => {
    const { cluster, place } = await etcdFor(t);
    await cluster.putMany(PREFIX, 10_000);
    const startedAt = performance.now();
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    t.comment(`from exec to ready: ${Math.round(performance.now() - startedAt)} ms`);
    const client = new EtcdClient(cluster.settings());
    const updates = () => daemon.lines.filter((line) => line.event === "forwarding_updated").length;
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const seen = updates();
      const value = `{"PublicIP":"172.20.0.${round + 1}","PublicIPv6":null}`;
      const put = { key: Buffer.from(`${PREFIX}/subnets/10.200.0.0-24`), value: Buffer.from(value) };
      const sentAt = performance.now();
      await client.commit([], [{ request_put: put }]);
      await until("it is in force", () => updates() > seen);
      times.push(performance.now() - sentAt);
    }
    client.close();
    times.sort((x, y) => x - y);
    t.comment(
      `one change to the forwarding table: median ${times[ROUNDS / 2]?.toFixed(1)} ms, longest ${times.at(-1)?.toFixed(1)} ms`,
    );
    t.comment(`resident: ${residentMegabytes(daemon.pid).toFixed(0)} MB`);
    t.equal(place.status(a).peers.length, 10_001);
  });
});
