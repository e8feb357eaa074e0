// `hopsack capture` in labs of every mode: what a ping from pod to pod looks like on underlay and tunnel of the first host.
//
//   h1-p1 ── cni0 [h1] flannel0, eth0 ══ br0 ══ eth0 [h2] … ── h2-p1
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import t from "tap";
import { PROBE_PORT } from "../../src/daemon/probe-socket.js";
import { errnoOf } from "../../src/errors.js";
import { startFailure } from "../../src/lab/command.js";
import { TOOL, UNHOOKED, withDaemons } from "../support/hopsackd.js";
import { type LabHost, tried, twoHosts } from "../support/lab.js";
import { run, until, whyNoOtherUsers } from "../support/netns.js";

const FILE = "/run/capture.pcapng";

interface Layer {
  readonly title: string;
  readonly fields: Readonly<Record<string, string>>;
}

interface Packet {
  readonly time: string;
  readonly device: string;
  readonly direction: string;
  readonly kind: string;
  readonly layers: readonly Layer[];
}

/** A capture that runs; its output as it comes. */
class Capture {
  stdout = "";
  stderr = "";
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(...words: readonly string[]) {
    const [program = "", ...args] = [...UNHOOKED, process.execPath, TOOL, "capture", ...words];
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.child.on("error", (error) => (this.stderr += startFailure(program, error).message));
    this.child.stdout?.on("data", (chunk) => (this.stdout += chunk));
    this.child.stderr?.on("data", (chunk) => (this.stderr += chunk));
    this.ended = once(this.child, "close").then(([status]) => status);
  }

  async started(): Promise<this> {
    await until("the capture runs", () => this.stderr.includes("capturing on"));
    return this;
  }

  /** What has been printed so far, by whole lines. */
  packets(): Packet[] {
    const lines = this.stdout.slice(0, this.stdout.lastIndexOf("\n") + 1).split("\n");
    return lines.filter(Boolean).map((line) => JSON.parse(line));
  }
}

const ping = ({ pods: [from] }: LabHost, { pods: [to] }: LabHost): string =>
  run(`ip netns exec ${from.netns} ping -n -c 1 -W 2 ${to.address}`);

const isIcmp = ({ layers }: Packet): boolean => layers.some(({ title }) => title === "ICMP");
const isProbe = ({ layers }: Packet): boolean =>
  layers.some(({ fields }) => fields["destination port"] === `${PROBE_PORT}`);

/** `eth0 out udp`, one for each packet of the ping. */
function story(packets: readonly Packet[]): string[] {
  return packets.map(({ device, direction, kind }) => `${device} ${direction} ${kind}`);
}

const MODES = [
  {
    name: "udp",
    options: [],
    story: ["flannel0 out plain", "eth0 out udp", "eth0 in udp", "flannel0 in plain"],
    titles: ["IPv4", "UDP", "IPv4", "ICMP", "Payload"],
  },
  {
    name: "udp-ebpf",
    options: ["--daemon-arg=--engine=ebpf"],
    story: ["eth0 out udp", "eth0 in udp", "flannel0 in plain"],
    titles: ["IPv4", "UDP", "IPv4", "ICMP", "Payload"],
  },
  {
    name: "vxlan",
    options: ["--backend", "vxlan"],
    story: ["flannel.1 out plain", "eth0 out vxlan", "eth0 in vxlan", "flannel.1 in plain"],
    titles: ["IPv4", "UDP", "VXLAN", "Ethernet", "IPv4", "ICMP", "Payload"],
  },
  {
    name: "vxlan-user",
    options: ["--backend", "vxlan", "--daemon-arg=--vxlan-engine=userspace"],
    story: ["flannel.1 out plain", "eth0 out vxlan", "eth0 in vxlan", "flannel.1 in plain"],
    titles: ["IPv4", "UDP", "VXLAN", "Ethernet", "IPv4", "ICMP", "Payload"],
  },
  {
    name: "host-gw",
    options: ["--backend", "host-gw"],
    story: ["eth0 out plain", "eth0 in plain"],
    titles: ["IPv4", "ICMP", "Payload"],
  },
  {
    name: "bgp",
    options: ["--backend", "bgp", "--attach", "routed"],
    story: ["eth0 out plain", "eth0 in plain"],
    titles: ["IPv4", "ICMP", "Payload"],
  },
] as const;

withDaemons(t, import.meta.url, async () => {
  for (const mode of MODES) {
    t.test(`${mode.name}: a ping is seen on every device in the order of time, and taken apart`, async (t) => {
      const [h1, h2] = twoHosts(t, mode.name, ...mode.options);
      const pod = h2.pods[0].address;
      const words = ["--host", "h1", "--name", mode.name, "--json", "--address", pod];
      const capture = await new Capture(...words, "--count", `${mode.story.length}`).started();
      ping(h1, h2);
      t.equal(await capture.ended, 0);
      const packets = capture.packets();
      t.same(story(packets), mode.story);
      t.same(
        packets.map(({ time }) => time),
        packets.map(({ time }) => time).toSorted(),
      );
      const wire = packets.find(({ device }) => device === "eth0");
      t.same(
        wire?.layers.map(({ title }) => title),
        mode.titles,
      );
      const inner = wire?.layers.filter(({ title }) => title === "IPv4").at(-1);
      t.match(inner?.fields, { source: h1.pods[0].address, destination: pod, "time to live": "63" });
      t.equal(capture.stderr.includes("before a capture sees it there"), mode.name === "udp-ebpf");
    });
  }

  t.test("what is kept is read by tcpdump and tshark, with the devices' names", async (t) => {
    const [h1, h2] = twoHosts(t, "file");
    const words = ["--host", "h1", "--name", "file", "--address", h2.pods[0].address, "--count", "4"];
    const capture = await new Capture(...words, "--pcap", FILE).started();
    ping(h1, h2);
    t.equal(await capture.ended, 0);
    t.match(capture.stdout, /\n4 packets in .* 2 plain, 2 UDP mode; the kernel dropped none\n/);
    const read = spawnSync("tcpdump", ["-n", "-r", FILE], { encoding: "utf8" });
    t.equal(read.status, 0, read.stderr);
    t.equal(read.stdout.trim().split("\n").length, 4);
    t.match(read.stdout, "192.168.50.10.8285 > 192.168.50.11.8285: UDP, length 84");
    const tshark = spawnSync("tshark", ["-r", FILE, "-T", "fields", "-e", "frame.interface_name"], {
      encoding: "utf8",
    });
    if (errnoOf(tshark.error) === "ENOENT") t.pass("tshark", { skip: "tshark is not installed" });
    else t.same(tshark.stdout.trim().split("\n"), ["flannel0", "eth0", "eth0", "flannel0"]);
    const again = tried("capture", "--host", "h1", "--name", "file", "--pcap", FILE);
    t.match(again, { status: 1, stderr: `hopsack: ${FILE} is there already; remove it, or name another file` });
  });

  t.test("probes, the underlay's own traffic and other addresses are hidden, and shown when asked for", async (t) => {
    const [h1, h2] = twoHosts(t, "hidden");
    const at = (...words: string[]) => new Capture("--host", "h1", "--name", "hidden", ...words).started();
    const [quiet, probes, all] = [await at("--json"), await at("--json", "--probes"), await at("--json", "--all")];
    run(`ip netns exec ${h1.netns} ping -n -c 1 -W 2 ${h2.underlay}`);
    ping(h1, h2);
    await until("a probe is seen", () => probes.packets().some(isProbe));
    // A new device may have more on it: the kernel's own multicast.
    const pings = (): Packet[] => quiet.packets().filter(isIcmp);
    await until("the ping is seen", () => pings().length >= 4);
    for (const capture of [quiet, probes, all]) {
      capture.child.kill("SIGINT");
      t.equal(await capture.ended, 0, "Ctrl-C is how one ends it");
      t.match(capture.stderr, /packets? in /);
    }
    t.same(story(pings()), MODES[0].story);
    t.equal(quiet.packets().some(isProbe), false);
    t.match(quiet.stderr, /[0-9]+ probes of the daemons not shown/);
    const toUnderlay = ({ layers }: Packet): boolean =>
      layers[1]?.title === "ICMP" && layers[0]?.fields.destination === h2.underlay;
    t.equal(all.packets().filter(toUnderlay).length, 1);
    t.equal(quiet.packets().filter(toUnderlay).length, 0);
  });

  t.test("a device that goes away meanwhile is named", async (t) => {
    const [h1] = twoHosts(t, "gone");
    const capture = await new Capture("--host", "h1", "--name", "gone").started();
    run(`ip -n ${h1.netns} link del flannel0`);
    capture.child.kill("SIGINT");
    t.equal(await capture.ended, 0);
    t.match(capture.stdout, "flannel0 went away or was made anew");
  });

  t.test("on the machine itself devices are named by its daemon, or by the user where none runs", async (t) => {
    const [h1, h2] = twoHosts(t, "own");
    const socket = ["--socket", "/run/nobody.sock"];
    const none = tried("capture", ...socket);
    t.match(none, { status: 1, stderr: /no hopsackd answers on \/run\/nobody\.sock .*--device \[NOT_RUNNING\]/ });
    const inside = ["ip", "netns", "exec", h1.netns, ...UNHOOKED, process.execPath, TOOL, "capture"];
    const spawned = spawnSync(inside[0] ?? "", [...inside.slice(1), "--socket", h1.statusSocket, "--seconds", "1"], {
      encoding: "utf8",
    });
    t.match(spawned, { status: 0, stderr: "capturing on eth0, flannel0" });
    const words = ["--device", "cni0", "--address", h2.pods[0].address, "--count", "1"]; // the kernel has multicast of its own there
    const capture = await new Capture("--host", "h1", "--name", "own", ...words).started();
    ping(h1, h2);
    t.equal(await capture.ended, 0);
    t.match(capture.stdout, /cni0 {1,3}in/);
  });

  t.test("what cannot be done is said in a sentence, and nothing is left", async (t) => {
    twoHosts(t, "words");
    const at = (...words: string[]) => tried("capture", "--name", "words", ...words);
    t.match(at("--host", "h3"), { status: 1, stderr: "lab words has no host h3; there are: h1, h2 [LAB_NOT_FOUND]" });
    t.match(tried("capture", "--host", "h1", "--name", "none"), {
      status: 1,
      stderr: "no lab is named none; there are:",
    });
    t.match(at("--host", "h1", "--device", "eth7"), {
      status: 1,
      stderr: /there is no device eth7 here; there are: lo, /,
    });
    for (const [option, value] of [
      ["--seconds", "-3"],
      ["--seconds", "0"],
      ["--count", "none"],
      ["--port", "70000"],
      ["--address", "10.1"],
      ["--device", "a b"],
    ] as const)
      t.match(at("--host", "h1", option, value), { status: 2, stderr: `${option} ${value} is not accepted; give ` });
    t.match(at("--host", "h1", "--pcap", "/run/nowhere/x", "--count", "1"), { status: 1, stderr: "FILE_UNWRITABLE" });
    writeFileSync("/run/x.pcap", "mine");
    t.match(at("--host", "h1", "--pcap", "/run/x.pcap"), { status: 1, stderr: "is there already" });
    const [program = "", ...args] = [process.execPath, TOOL, "capture", "--device", "lo", "--pcap", "/run/y"];
    const bare = spawnSync(program, args, { encoding: "utf8", env: { PATH: "/nowhere" } });
    t.match(bare, {
      status: 1,
      stderr: /tcpdump.* not installed; install: apt-get install .*tcpdump \[TOOL_MISSING\]/,
    });
    t.equal(existsSync("/run/y"), false);
  });

  t.test("who may not capture is told so, and no file is left", { skip: whyNoOtherUsers() }, async (t) => {
    mkdirSync("/run/everybodys", { mode: 0o777 });
    chmodSync("/run/everybodys", 0o777);
    const nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", ...UNHOOKED, process.execPath, TOOL];
    const file = "/run/everybodys/x";
    const refused = spawnSync("setpriv", [...nobody, "capture", "--device", "lo", "--pcap", file], {
      encoding: "utf8",
    });
    t.match(refused, {
      status: 1,
      stderr: "may not capture packets (missing: CAP_NET_RAW); run it with sudo [NOT_PERMITTED]",
    });
    t.equal(existsSync(file), false);
  });
});
