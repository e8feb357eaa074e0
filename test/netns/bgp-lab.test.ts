// Labs in mode bgp, three hosts on one link, as a person looks at them:
//
//   h1-p1 ── [h1 192.168.50.10] ── bridge ── [h2 .11] ── h2-p1
//                                    └────── [h3 .12] ── h3-p1
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { type Host, hopsack, TOOL, withDaemons } from "../support/hopsackd.js";
import { run } from "../support/netns.js";
import { received, sha256 } from "../support/traffic.js";

const STREAM_BYTES = 10_000_000;

interface LabHost {
  readonly name: string;
  readonly netns: string;
  readonly underlay: string;
  readonly subnet: string;
  readonly statusSocket: string;
  readonly pods: readonly [{ readonly netns: string; readonly address: string }];
}

type LabHosts = readonly [LabHost, LabHost, LabHost];

/** Returns when every pod has reached every other. */
function labUp(t: Test, ...options: readonly string[]): LabHosts {
  t.teardown(() => execFileSync(process.execPath, [TOOL, "lab", "down", "--name", "bgp"], { stdio: "pipe" }));
  const words = ["lab", "up", "--name", "bgp", "--hosts", "3", "--json", ...options];
  return JSON.parse(execFileSync(process.execPath, [TOOL, ...words], { encoding: "utf8", stdio: "pipe" })).hosts;
}

const hostOf = ({ netns, underlay }: LabHost): Host => ({ name: netns, address: underlay });
const podOf = ({ pods: [pod] }: LabHost): Host => ({ name: pod.netns, address: pod.address });
const firstAddress = ({ subnet }: LabHost): string => subnet.replace("0/24", "1");

/** `ip route`, each line as it is but for the blank at its end. */
function routes({ netns }: LabHost): string[] {
  return run(`ip -n ${netns} route`)
    .trim()
    .split("\n")
    .map((line) => line.trimEnd())
    .sort();
}

const underlayRoute = ({ underlay }: LabHost): string =>
  `192.168.50.0/24 dev eth0 proto kernel scope link src ${underlay}`;

const routesTo = (own: LabHost, hosts: LabHosts): string[] =>
  hosts.filter((host) => host !== own).map(({ subnet, underlay }) => `${subnet} via ${underlay} dev eth0 proto bird`);

async function streamsArrive(t: Test, ...[h1, , h3]: LabHosts): Promise<void> {
  const bytes = randomBytes(STREAM_BYTES);
  for (const [from, to] of [
    [h1, h3],
    [h3, h1],
  ] as const) {
    t.equal(
      await received(podOf(from), podOf(to), podOf(to).address, bytes),
      sha256(bytes),
      `${from.name} → ${to.name}`,
    );
  }
}

const nodeStatus = (host: LabHost): string => hopsack(hostOf(host), `node status --socket ${host.statusSocket}`);

/** Processes of this PID namespace that are a BIRD. */
function birds(): string[] {
  return run("ps -eo comm")
    .split("\n")
    .filter((name) => name.trim() === "bird");
}

withDaemons(t, import.meta.url, async () => {
  t.test("full mesh, pods on a bridge", async (t) => {
    const hosts = labUp(t, "--backend", "bgp");
    for (const host of hosts) {
      t.strictSame(
        routes(host),
        [
          `${host.subnet} dev cni0 proto kernel scope link src ${firstAddress(host)}`,
          `blackhole ${host.subnet} proto bird metric 32`,
          ...routesTo(host, hosts),
          underlayRoute(host),
        ].sort(),
      );
    }
    await streamsArrive(t, ...hosts);
    const [h1] = hosts;
    t.equal(
      nodeStatus(h1).replace(/\d\d:\d\d:\d\d/g, "hh:mm:ss"),
      `Hopsack process is running.

IPv4 BGP status
+---------------+-------------------+-------+----------+-------------+
| PEER ADDRESS  |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+---------------+-------------------+-------+----------+-------------+
| 192.168.50.11 | node-to-node mesh | up    | hh:mm:ss | Established |
| 192.168.50.12 | node-to-node mesh | up    | hh:mm:ss | Established |
+---------------+-------------------+-------+----------+-------------+

IPv6 BGP status
No IPv6 peers found.

`,
    );
    const { sessions } = JSON.parse(hopsack(hostOf(h1), `node status --json --socket ${h1.statusSocket}`));
    t.match(sessions, [{ peer: "192.168.50.11", state: "up", trouble: null }, { peer: "192.168.50.12" }]);
    const store = h1.statusSocket.replace("h1/hopsackd.sock", "store");
    for (const word of ["nodes", "no"])
      t.equal(hopsack(hostOf(h1), `get ${word} --store file:${store}`), "NAME\nh1\nh2\nh3\n");
    t.match(
      hopsack(hostOf(h1), `status --socket ${h1.statusSocket}`),
      /^2 BGP sessions: 2 established \(BIRD 2\.\S+, AS 64512\)$/m,
    );
    t.match(hopsack(hostOf(h1), `doctor --socket ${h1.statusSocket}`), /nothing found/);
    t.equal(birds().length, 3);
  });

  t.test("a reflector, passwords, pods with a route of their own", async (t) => {
    t.strictSame(birds(), [], "none is left of the lab before");
    const backend = { Type: "bgp", RouteReflectors: ["192.168.50.11"], Password: "one for all", ASNumber: 64_700 };
    const hosts = labUp(t, "--backend", JSON.stringify(backend), "--attach", "routed");
    for (const host of hosts) {
      const shown = routes(host).map((line) => line.replace(/dev hsk[0-9a-f]{12}/, "dev hsk…"));
      t.strictSame(
        shown,
        [
          `blackhole ${host.subnet} proto bird`,
          `${host.pods[0].address} dev hsk… proto 86 scope link`,
          ...routesTo(host, hosts),
          underlayRoute(host),
        ].sort(),
      );
    }
    await streamsArrive(t, ...hosts);
    const [h1, h2] = hosts;
    t.match(nodeStatus(h1), /^\| 192\.168\.50\.11 \| route reflector \| up .* Established \|$/m);
    t.notMatch(nodeStatus(h1), "192.168.50.12");
    t.match(nodeStatus(h2), /^\| 192\.168\.50\.10 \| reflector client \| up /m);
  });

  t.test(
    "IP-in-IP to every host through a reflector: BIRD's routes lead into a device of the given name",
    async (t) => {
      const backend = { Type: "bgp", IPIP: "Always", RouteReflectors: ["192.168.50.11"] };
      const words = ["--ipip-engine", "userspace", "--ipip-device", "tunl1"].flatMap((arg) => ["--daemon-arg", arg]);
      const hosts = labUp(t, "--backend", JSON.stringify(backend), "--attach", "routed", ...words);
      for (const host of hosts) {
        const shown = routes(host).map((line) => line.replace(/dev hsk[0-9a-f]{12}/, "dev hsk…"));
        t.strictSame(
          shown,
          [
            `blackhole ${host.subnet} proto bird`,
            `${host.pods[0].address} dev hsk… proto 86 scope link`,
            ...routesTo(host, hosts).map((line) => line.replace("dev eth0 proto bird", "dev tunl1 proto bird onlink")),
            underlayRoute(host),
          ].sort(),
        );
      }
      await streamsArrive(t, ...hosts);
      const [h1] = hosts;
      t.match(hopsack(hostOf(h1), `doctor --socket ${h1.statusSocket}`), /nothing found/);
    },
  );
});
