// The road itself, with real daemons in a real lab: what pods see, what is on the wire, what is answered and what is not let in.
//
//   h1-p1, h1-p2 ── cni0 [h1 flannel0] eth0 ══ bridge ══ eth0 [h2 flannel0] cni0 ── h2-p1, h2-p2      (and h3)
//                             192.168.50.10               .11
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { checkTransportChecksum } from "../../src/wire/checksum.js";
import { decodeEthernet } from "../../src/wire/ethernet.js";
import { decodeIpv4 } from "../../src/wire/ipv4.js";
import { parsePcap } from "../../src/wire/pcap.js";
import { decodeUdp } from "../../src/wire/udp.js";
import { inOwnNamespace, until } from "../support/netns.js";

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const STREAM_BYTES = 200_000_000;

interface Pod {
  readonly netns: string;
  readonly address: string;
}
interface LabHost {
  readonly netns: string;
  readonly subnet: string;
  readonly statusSocket: string;
  readonly pods: readonly [Pod, Pod];
}
type Lab = readonly [LabHost, LabHost, LabHost];

function labUp(t: Test, name: string, ...options: readonly string[]): Lab {
  t.teardown(() => execFileSync(process.execPath, [CLI, "lab", "down", "--name", name], { stdio: "pipe" }));
  const words = ["lab", "up", "--name", name, "--hosts", "3", "--pods", "2", "--json", ...options];
  const output = execFileSync(process.execPath, [CLI, ...words], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return (JSON.parse(output) as { hosts: Lab }).hosts;
}

/** Runs a command line in a namespace; its output, whatever its exit status. */
function inside(netns: string, commandLine: string): string {
  try {
    return execFileSync("ip", ["netns", "exec", netns, ...commandLine.split(" ")], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    return String((error as { stdout?: string }).stdout) + String((error as { stderr?: string }).stderr);
  }
}

function start(netns: string, ...command: readonly string[]): ReturnType<typeof spawn> {
  return spawn("ip", ["netns", "exec", netns, ...command], { stdio: ["ignore", "pipe", "pipe"] });
}

function drops(host: LabHost): Record<string, number> {
  const report = execFileSync(process.execPath, [CLI, "status", "--json", "--socket", host.statusSocket], {
    encoding: "utf8",
  });
  const { drops } = JSON.parse(report) as { drops: { reason: string; packets: number }[] };
  return Object.fromEntries(drops.map(({ reason, packets }) => [reason, packets]));
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("three hosts with two pods each: pods, streams and path MTU", async (t) => {
    const lab = labUp(t, "road");
    const [h1, h2, h3] = lab;
    const pods = lab.flatMap((host) => host.pods);

    await t.test("every pod pings every other, both ways", async (t) => {
      for (const from of pods) {
        for (const to of pods.filter((pod) => pod !== from)) {
          t.match(inside(from.netns, `ping -c1 -W2 ${to.address}`), " 0% packet loss", `${from.netns} → ${to.address}`);
        }
      }
    });

    await t.test("a 200 MB stream arrives with the right sha256", async (t) => {
      const file = join(tmpdir(), `hopsack-stream-${randomBytes(4).toString("hex")}`);
      t.teardown(() => execFileSync("rm", ["-f", file]));
      const bytes = randomBytes(STREAM_BYTES);
      writeFileSync(file, bytes);
      const program =
        "const h=require('crypto').createHash('sha256');require('net').createServer(c=>c.on('data',d=>h.update(d)).on('end',()=>{console.log(h.digest('hex'));process.exit()})).listen(7000,()=>console.log('up'))";
      const server = start(h2.pods[0].netns, process.execPath, "-e", program);
      let said = "";
      server.stdout?.on("data", (chunk) => {
        said += String(chunk);
      });
      await until("the receiver listens", () => said.includes("up"));
      const client = `require('fs').createReadStream('${file}').pipe(require('net').connect(7000,'${h2.pods[0].address}'))`;
      execFileSync("ip", ["netns", "exec", h1.pods[0].netns, process.execPath, "-e", client]);
      await until("the receiver has everything", () => said.split("\n").length > 2);
      t.equal(said.split("\n")[1], createHash("sha256").update(bytes).digest("hex"));
    });

    await t.test("path MTU: 1472 bytes with DF pass, one more gets the ICMP answer with the MTU", async (t) => {
      const target = h2.pods[0].address;
      t.match(inside(h1.pods[0].netns, `ping -c1 -W2 -M do -s ${1472 - 28} ${target}`), " 0% packet loss");
      // A pod whose own link allows more learns it from its host.
      inside(h1.pods[1].netns, "ip link set eth0 mtu 1500");
      inside(h1.netns, "ip link set cni0 mtu 1500");
      for (const link of hostLinks(h1)) inside(h1.netns, `ip link set ${link} mtu 1500`);
      t.match(inside(h1.pods[1].netns, `ping -c1 -W2 -M do -s ${1473 - 28} ${target}`), /mtu ?= ?1472/);
    });

    await t.test("a path narrower than the underlay: the pump itself answers with the right MTU", async (t) => {
      inside(h1.netns, "ip route add 192.168.50.12/32 dev eth0 mtu 1400");
      const before = drops(h1).packet_too_big ?? 0;
      t.match(inside(h1.pods[0].netns, `ping -c1 -W2 -M do -s 1444 ${h3.pods[0].address}`), /mtu ?= ?1372/);
      t.equal(drops(h1).packet_too_big, before + 1);
      // TCP finds its way by itself, super-packets included.
      const server = start(h3.pods[0].netns, "iperf3", "-s", "-1", "--forceflush");
      await listening(server);
      t.match(inside(h1.pods[0].netns, `iperf3 -c ${h3.pods[0].address} -n 20M`), "receiver");
      inside(h1.netns, "ip route del 192.168.50.12/32 dev eth0 mtu 1400");
    });

    await t.test("an address in nobody's subnet: net unreachable reaches the pod, with any rp_filter", async (t) => {
      const nowhere = freeAddress(lab);
      for (const mode of [0, 1, 2]) {
        for (const scope of ["all", "flannel0", "cni0"])
          inside(h1.netns, `sysctl -qw net.ipv4.conf.${scope}.rp_filter=${mode}`);
        const before = drops(h1).no_route ?? 0;
        t.match(
          inside(h1.pods[0].netns, `ping -c1 -W2 ${nowhere}`),
          "Destination Net Unreachable",
          `rp_filter ${mode}`,
        );
        t.match(inside(h1.netns, `ping -c1 -W2 ${nowhere}`), "Destination Net Unreachable", "for the host itself too");
        t.equal(drops(h1).no_route, before + 2);
      }
    });

    await t.test(
      "a flannel host (a mock: flanneld's lease, and a bare UDP socket as its loop) answers through the tunnel",
      async (t) => {
        const third = [...Array(255).keys()].find(
          (i) => i > 0 && !lab.some((host) => host.subnet === `10.244.${i}.0/24`),
        );
        inside(h3.netns, "ip addr add 192.168.50.99/24 dev eth0");
        const loop = start(h3.netns, process.execPath, "-e", FLANNEL_MOCK, "192.168.50.99");
        t.teardown(() => loop.kill("SIGKILL"));
        await saying(loop, "up");
        // As flanneld writes it: no BackendType, no Node.
        const file = join(dirname(h1.statusSocket), "..", "store", "subnets", `10.244.${third}.0-24.json`);
        writeFileSync(file, '{"PublicIP":"192.168.50.99","PublicIPv6":null}');
        t.teardown(() => rmSync(file, { force: true }));
        const target = `10.244.${third}.5`;
        await until("h1 knows the flannel host", () =>
          inside(h1.pods[0].netns, `ping -c1 -W1 ${target}`).includes(" 0% packet loss"),
        );
        t.match(inside(h1.pods[0].netns, `ping -c3 -i0.2 -W2 -s 1400 ${target}`), " 0% packet loss");
      },
    );

    await t.test("datagrams of strangers, and inner sources of other hosts, never reach a pod", async (t) => {
      const inner = innerPing(h3.pods[0].address, h2.pods[0].address);
      const send = (netns: string, packet: Buffer): void => {
        const program = `const s=require('dgram').createSocket('udp4');s.send(Buffer.from('${packet.toString("hex")}','hex'),8285,'192.168.50.11',()=>s.close())`;
        execFileSync("ip", ["netns", "exec", netns, process.execPath, "-e", program]);
      };
      inside(h1.netns, "ip addr add 192.168.50.77/24 dev eth0");
      const before = drops(h2);
      const counted = async (reason: string): Promise<void> => {
        await until(reason, () => (drops(h2)[reason] ?? 0) === (before[reason] ?? 0) + 1);
        t.pass(reason);
      };
      send(h1.netns, inner); // h1 is known, but the inner source is h3's
      await counted("inner_source");
      inside(h1.netns, "ip route add 192.168.50.11/32 dev eth0 src 192.168.50.77");
      send(h1.netns, inner);
      await counted("unknown_sender");
      inside(h1.netns, "ip route del 192.168.50.11/32 dev eth0 src 192.168.50.77");
      send(h1.netns, inner.subarray(0, 25));
      await counted("truncated");
      send(h1.netns, Buffer.from("not an IP packet"));
      await counted("bad_inner_packet");
      t.equal(drops(h2).unknown_sender, (before.unknown_sender ?? 0) + 1, "each is counted once, by one name");
    });
  });

  for (const offload of ["all", "none"]) {
    t.test(`the wire while iperf3 runs, offloads: ${offload}`, async (t) => {
      const [h1, h2] = labUp(t, `wire-${offload}`, "--daemon-arg=--offload", `--daemon-arg=${offload}`);
      const server = start(h2.pods[0].netns, "iperf3", "-s", "-1", "--forceflush");
      await listening(server);
      const file = join(tmpdir(), `hopsack-wire-${randomBytes(4).toString("hex")}.pcap`);
      t.teardown(() => execFileSync("rm", ["-f", file]));
      const dump = start(h1.netns, "tcpdump", "-i", "eth0", "-s", "0", "-B", "16384", "-c", "400", "-w", file, "udp");
      let dumpSaid = "";
      dump.stderr?.on("data", (chunk) => {
        dumpSaid += String(chunk);
      });
      await until("tcpdump listens", () => dumpSaid.includes("listening"));
      const ended = new Promise((resolve) => dump.once("close", resolve));
      t.match(inside(h1.pods[0].netns, `iperf3 -c ${h2.pods[0].address} -n 100M`), "receiver");
      await ended;

      const verdicts = { packets: 0, wrongChecksum: 0, notIpv4: 0, otherPorts: 0, mayFragment: 0 };
      for (const { bytes } of parsePcap(readFileSync(file))?.packets ?? []) {
        const ethernet = decodeEthernet(bytes);
        const outer = ethernet && decodeIpv4(ethernet.payload);
        const udp = outer && decodeUdp(outer.payload);
        if (outer === undefined || udp === undefined) continue;
        if (udp.sourcePort !== 8285 || udp.destinationPort !== 8285) verdicts.otherPorts++;
        if (!outer.dontFragment) verdicts.mayFragment++;
        // The kernel shows a UDP_SEGMENT send as one datagram: packet after packet.
        for (let rest = udp.payload; rest.length > 0; ) {
          if (rest[0] !== 0x45) verdicts.notIpv4++;
          const length = decodeIpv4(rest)?.totalLength ?? rest.length;
          if (checkTransportChecksum(rest.subarray(0, length)) !== "correct") verdicts.wrongChecksum++;
          verdicts.packets++;
          rest = rest.subarray(length);
        }
      }
      t.ok(verdicts.packets >= 400, `${verdicts.packets} inner packets`);
      t.match(verdicts, { wrongChecksum: 0, notIpv4: 0, otherPorts: 0, mayFragment: 0 });
    });
  }

  t.test("IPv6 pods reach each other through the same tunnel", async (t) => {
    const [h1, h2] = labUp(t, "six", "--ipv6");
    const target = JSON.parse(inside(h2.pods[0].netns, "ip -j -6 addr show dev eth0 scope global")) as {
      addr_info: { local: string }[];
    }[];
    const address = target[0]?.addr_info[0]?.local ?? "";
    t.match(inside(h1.pods[0].netns, `ping -6 -c2 -W2 ${address}`), " 0% packet loss");
    const server = start(h2.pods[0].netns, "iperf3", "-s", "-1", "--forceflush");
    await listening(server);
    t.match(inside(h1.pods[0].netns, `iperf3 -6 -c ${address} -n 50M`), "receiver");
  });
});

/** Answers ICMP echo requests that arrive as bare IP packets, TTL lowered by one as flannel's loop does it. */
const FLANNEL_MOCK = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (packet, peer) => {
  if (packet[0] !== 0x45 || packet[9] !== 1 || packet[20] !== 8) return;
  const [source, destination] = [packet.subarray(12, 16), packet.subarray(16, 20)].map((a) => Buffer.from(a));
  destination.copy(packet, 12);
  source.copy(packet, 16);
  packet[8] -= 1;
  packet[20] = 0;
  const sum = (from, to) => {
    let total = 0;
    for (let i = from; i < to; i += 2) total += packet.readUInt16BE(i);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return ~total & 0xffff;
  };
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(sum(0, 20), 10);
  packet.writeUInt16BE(0, 22);
  packet.writeUInt16BE(sum(20, packet.length), 22);
  socket.send(packet, peer.port, peer.address);
});
socket.bind(8285, process.argv[1], () => console.log("up"));
`;

const listening = (server: ReturnType<typeof spawn>): Promise<void> => saying(server, "listening");

async function saying(child: ReturnType<typeof spawn>, word: string): Promise<void> {
  let said = "";
  child.stdout?.on("data", (chunk) => {
    said += String(chunk);
  });
  await until(`a child says ${word}`, () => said.includes(word));
}

function hostLinks(host: LabHost): string[] {
  const links = JSON.parse(inside(host.netns, "ip -j link show master cni0")) as { ifname: string }[];
  return links.map((link) => link.ifname);
}

function freeAddress(lab: Lab): string {
  const taken = new Set(lab.map((host) => host.subnet.split(".")[2]));
  const free = Array.from({ length: 254 }, (_, i) => String(i + 1)).find((third) => !taken.has(third));
  return `10.244.${free}.9`;
}

/** An ICMP echo request without care for its checksums: it must not get far enough for anybody to look. */
function innerPing(source: string, destination: string): Buffer {
  const packet = Buffer.alloc(28);
  packet.set([0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1]);
  packet.set(source.split(".").map(Number), 12);
  packet.set(destination.split(".").map(Number), 16);
  packet[20] = 8;
  return packet;
}
