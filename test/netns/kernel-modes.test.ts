// Labs in the modes whose packets the kernel carries: what pods see. In vxlan the road between the hosts is flannel.1:
//
//   h1-p1 ── cni0 [h1 flannel.1] eth0 ══ bridge ══ eth0 [h2 flannel.1] cni0 ── h2-p1
//                        192.168.50.10               .11
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { inOwnNamespace, until } from "../support/netns.js";

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

interface LabHost {
  readonly netns: string;
  readonly pods: readonly [{ readonly netns: string; readonly address: string }];
}

/** Returns when every pod has reached every other. */
function labUp(t: Test, ...options: readonly string[]): readonly [LabHost, LabHost] {
  t.teardown(() => execFileSync(process.execPath, [CLI, "lab", "down", "--name", "modes"], { stdio: "pipe" }));
  const words = ["lab", "up", "--name", "modes", "--hosts", "2", "--pods", "1", "--json", ...options];
  return JSON.parse(execFileSync(process.execPath, [CLI, ...words], { encoding: "utf8", stdio: "pipe" })).hosts;
}

/** Runs a command line in a namespace; what it says, whatever its exit status. */
function inside(netns: string, commandLine: string): string {
  const { stdout, stderr } = spawnSync("ip", ["netns", "exec", netns, ...commandLine.split(" ")], { encoding: "utf8" });
  return stdout + stderr;
}

async function streams(t: Test, from: string, to: string, ...flags: readonly string[]): Promise<void> {
  const server = spawn("ip", ["netns", "exec", to, "iperf3", "-s", "-1", "--forceflush"], { stdio: "pipe" });
  let said = "";
  server.stdout.on("data", (chunk) => (said += chunk));
  await until("iperf3 listens", () => said.includes("listening"));
  t.match(inside(from, ["iperf3", ...flags, "-n", "50M"].join(" ")), "receiver");
}

inOwnNamespace(t, import.meta.url, () => {
  if (!existsSync(CLI)) {
    t.fail(`${CLI} is not there; build it with: npm run build`);
    return;
  }
  for (const [backend, mtu] of [
    ["vxlan", 1450],
    ['{"Type": "vxlan", "DirectRouting": true}', 1450],
    ["host-gw", 1500],
    ["alloc", 1500],
    ["extension", 1500],
  ] as const) {
    t.test(`${backend}: pods get an MTU of ${mtu}, packets of that size pass whole, streams both ways`, async (t) => {
      const [h1, h2] = labUp(t, "--backend", backend);
      const [p1, p2] = [h1.pods[0], h2.pods[0]];
      t.match(inside(p1.netns, "ip link show eth0"), ` mtu ${mtu} `);
      t.match(inside(p1.netns, `ping -c1 -W2 -M do -s ${mtu - 28} ${p2.address}`), " 0% packet loss");
      await streams(t, p1.netns, p2.netns, "-c", p2.address);
      await streams(t, p1.netns, p2.netns, "-R", "-c", p2.address);
    });
  }

  t.test("vxlan: a pod with a larger MTU learns the device's from its host", async (t) => {
    const [h1, h2] = labUp(t, "--backend", "vxlan");
    const ends: { ifname: string }[] = JSON.parse(inside(h1.netns, "ip -j link show master cni0"));
    for (const link of ["cni0", ...ends.map(({ ifname }) => ifname)]) inside(h1.netns, `ip link set ${link} mtu 1500`);
    inside(h1.pods[0].netns, "ip link set eth0 mtu 1500");
    const ping = `ping -c1 -W2 -M do -s 1472 ${h2.pods[0].address}`;
    t.match(inside(h1.pods[0].netns, ping), /mtu ?= ?1450/);
  });

  t.test("vxlan carries IPv6 pods over the same device; host-gw says why it does not", async (t) => {
    const [h1, h2] = labUp(t, "--backend", "vxlan", "--ipv6");
    const shown = JSON.parse(inside(h2.pods[0].netns, "ip -j -6 addr show dev eth0 scope global"));
    const address: string = shown[0].addr_info[0].local;
    t.match(inside(h1.netns, "ip -6 route"), /fd00:\S+ via fd00:\S+ dev flannel\.1 proto 85 metric 1024 onlink/);
    await streams(t, h1.pods[0].netns, h2.pods[0].netns, "-6", "-c", address);
    const words = ["lab", "up", "--name", "six", "--hosts", "1", "--pods", "1", "--backend", "host-gw", "--ipv6"];
    const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], { encoding: "utf8" });
    t.not(status, 0);
    t.match(stderr, "remove EnableIPv6");
  });
});
