// The memory of the daemon's control group runs out. A neighbour that eats it is ended by the kernel, and the daemon goes on carrying and learning;
// where the daemon itself is the one to go, the next one finds nothing in its way.
//
//   10.244.1.1 on lo [a 192.168.50.10] ── br0 ── [b 192.168.50.11] 10.244.2.1 on lo
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import t from "tap";
import { arrivesDuring } from "../support/flow.js";
import { Daemon, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { MemoryGroups } from "../support/memory-group.js";
import type { Mode } from "../support/mode-matrix.js";
import { UDP, UDP_EBPF, VXLAN, VXLAN_USERSPACE } from "../support/modes.js";
import { until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

const MODES = [UDP, UDP_EBPF, VXLAN, VXLAN_USERSPACE];
/** For the daemon and some more: it takes less than 90 MB. */
const MEGABYTES = 160;
const EATERS = 3;

/** What a new host's lease says beside addresses. */
function newcomerOf({ backend }: Mode, count: number): Record<string, unknown> {
  if (backend !== VXLAN.backend) return {};
  return { BackendType: "vxlan", BackendData: { VNI: 1, VtepMAC: `02:00:00:00:01:0${count}` } };
}

withDaemons(t, import.meta.url, async () => {
  const groups = MemoryGroups.open();
  if (typeof groups === "string") {
    t.pass("memory runs out", { skip: groups });
    return;
  }
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  ip(a, "addr add 10.244.1.1/32 dev lo");
  ip(b, "addr add 10.244.2.1/32 dev lo");
  const trials = new Trials(import.meta.url, "Memory runs out in the daemon's control group");
  const carries = (): Promise<void> =>
    until("the overlay carries", () => pings(a, "10.244.2.1") && pings(b, "10.244.1.1"));

  for (const mode of MODES) {
    t.test(mode.name, async (t) => {
      const group = groups.make(t, MEGABYTES);
      const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: mode.backend }));
      const flagsOf = (host: typeof a): string[] => [...mode.flags(host), "--probe-peers=false"];
      place.reserve(a, "10.244.1.0/24");
      place.reserve(b, "10.244.2.0/24");
      const inGroup = new Daemon(a, place.flags(a, ...flagsOf(a)), group.wrapper);
      t.teardown(() => inGroup.stop());
      await Promise.all([inGroup, place.start(t, b, ...flagsOf(b))].map((daemon) => daemon.logged("ready")));
      await carries();
      const logged = inGroup.lines.length;

      await arrivesDuring(t, { a, b, target: "10.244.2.1" }, async () => {
        for (let count = 1; count <= EATERS; count++) {
          const [, signal] = await once(group.eater("first"), "exit");
          t.equal(signal, "SIGKILL", "the neighbour is ended");
          place.writeMember(`192.168.50.${100 + count}`, `10.244.${100 + count}.0/24`, newcomerOf(mode, count));
          await until("a new host is known", () => place.status(a).peers.length === 1 + count);
        }
      });
      t.equal(group.kills, EATERS, "and nobody else");
      const said = inGroup.lines.slice(logged).filter(({ event }) => event !== "forwarding_updated");
      t.strictSame(said, []);

      writeFileSync(`/proc/${inGroup.pid}/oom_score_adj`, "1000");
      const eater = group.eater("last");
      const { signal } = await inGroup.ended;
      t.equal(signal, "SIGKILL");
      eater.kill("SIGKILL");
      await place.start(t, a, ...flagsOf(a)).logged("ready");
      t.equal(place.status(a).lease?.subnet, "10.244.1.0/24", "the same subnet");
      await carries();
    });
  }

  t.test("what happened, in TRIALS.md", async () => {
    trials.row({
      tried: "another process eats the memory of the daemon's control group (udp and vxlan; kernel, pump, eBPF)",
      happened: "that one is ended; a TCP stream arrives byte for byte, new hosts become known, not a line in the log",
    });
    trials.row({
      tried: "the kernel ends the daemon instead",
      happened: "the next start has the same subnet, and carries",
    });
  });
});
