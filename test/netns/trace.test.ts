// `hopsack trace` in labs: every hop of one packet in every mode, and what cannot be traced.
//
//   h1-p1 ── cni0 [h1] flannel0, eth0 ══ br0 ══ eth0 [h2] … ── h2-p1
import t from "tap";
import { hopsack, withDaemons } from "../support/hopsackd.js";
import { type TwoHosts, tried, twoHosts } from "../support/lab.js";
import { run } from "../support/netns.js";
import { type Trace, traced } from "../support/trace.js";

/** `h1 eth0 out udp` of each step there; a pod's cable, whose name nobody knows, is `cable`. */
function hops({ steps }: Trace): string[] {
  return steps
    .filter(({ way }) => way === "there")
    .map(({ member, device, direction, kind }) =>
      [member, device.replace(/^(veth|hsk).*/, "cable"), direction, kind].join(" "),
    );
}

const POD_OUT = ["h1-p1 eth0 out plain", "h1 cable in plain"];
const POD_IN = ["h2 cable out plain", "h2-p1 eth0 in plain"];
const bridged = (device: string, kind: string): string[] => [
  ...POD_OUT,
  "h1 cni0 in plain",
  `h1 ${device} out plain`,
  `h1 eth0 out ${kind}`,
  `h2 eth0 in ${kind}`,
  `h2 ${device} in plain`,
  "h2 cni0 out plain",
  ...POD_IN,
];

const MODES = [
  { name: "udp", options: [], hops: bridged("flannel0", "udp"), wrapping: 28 },
  {
    name: "udp-ebpf",
    options: ["--daemon-arg=--engine=ebpf"],
    hops: bridged("flannel0", "udp").filter((hop) => hop !== "h1 flannel0 out plain"),
    wrapping: 28,
  },
  { name: "vxlan", options: ["--backend", "vxlan"], hops: bridged("flannel.1", "vxlan"), wrapping: 50 },
  {
    name: "vxlan-user",
    options: ["--backend", "vxlan", "--daemon-arg=--vxlan-engine=userspace"],
    hops: bridged("flannel.1", "vxlan"),
    wrapping: 50,
  },
  {
    name: "host-gw",
    options: ["--backend", "host-gw"],
    hops: [...POD_OUT, "h1 cni0 in plain", "h1 eth0 out plain", "h2 eth0 in plain", "h2 cni0 out plain", ...POD_IN],
    wrapping: 0,
  },
  {
    name: "bgp",
    options: ["--backend", "bgp", "--attach", "routed"],
    hops: [...POD_OUT, "h1 eth0 out plain", "h2 eth0 in plain", ...POD_IN],
    wrapping: 0,
  },
] as const;

withDaemons(t, import.meta.url, async () => {
  for (const mode of MODES) {
    t.test(`${mode.name}: every hop of a packet that arrives is seen, in its order`, async (t) => {
      const [h1, h2] = twoHosts(t, mode.name, ...mode.options);
      const trace = traced(mode.name, "h1-p1", "h2-p1");
      t.match(trace, { status: 0, isAnswered: true, stop: null });
      t.same(hops(trace), mode.hops);
      const wrapped = trace.steps.filter(({ wrapping }) => wrapping !== null);
      t.same(
        wrapped.map(({ wrapping }) => (wrapping?.length ?? 0) / 2),
        wrapped.map(() => mode.wrapping),
      );
      t.equal(wrapped.length, mode.wrapping === 0 ? 0 : 4, "there and back, on either end of the cable");
      t.match(trace.path[1]?.route, `${h2.pods[0].address} from ${h1.pods[0].address}`);
      const text = tried("trace", "h1-p1", "h2-p1", "--name", mode.name).stdout;
      t.match(text, /\nanswered after [0-9.]+ ms\n$/);
      t.equal(text.includes("carried by the eBPF program"), mode.name === "udp-ebpf");
      t.match(traced(mode.name, "h1-p1", "h2-p1", "--proto", "tcp", "--port", "81"), { status: 0, isAnswered: true });
      t.match(traced(mode.name, "h1-p1", "h2-p1", "--proto", "udp", "--port", "81"), { status: 0, stop: null });
      for (const host of [h1, h2]) t.notMatch(run(`ip netns exec ${host.netns} nft list tables`), "hopsack_trace");
    });
  }

  t.test(
    "on one host: from a namespace to an address, as far as this host sees it; and between two pods",
    async (t) => {
      const [h1, h2]: TwoHosts = twoHosts(t, "one", "--pods", "2");
      const inside = (...words: string[]) =>
        JSON.parse(
          hopsack({ name: h1.netns, address: "" }, `trace ${words.join(" ")} --socket ${h1.statusSocket} --json`),
        );
      const trace = inside(h1.pods[0].netns, h2.pods[0].address);
      t.match(trace, { isAnswered: true, stop: null, path: [{ name: h1.pods[0].netns }, { name: "this host" }] });
      t.ok(
        trace.steps.some(
          ({ kind, member }: { kind: string; member: string }) => kind === "udp" && member === "this host",
        ),
      );
      const near = traced("one", "h1-p1", "h1-p2");
      t.match(near, { status: 0, path: [{ name: "h1-p1" }, { name: "h1" }, { name: "h1-p2" }] });
      const two = ["h1-p1", "h2-p2"].map((to) => tried("trace", "h1-p2", to, "--name", "one"));
      t.same(
        two.map(({ status }) => status),
        [0, 0],
      );
    },
  );

  t.test("what cannot be traced is said in a sentence", async (t) => {
    twoHosts(t, "words");
    const at = (...words: string[]) => tried("trace", "--name", "words", ...words);
    t.match(at("h1-p9", "h2-p1"), {
      status: 1,
      stderr: "lab words has no pod h1-p9; there are: h1-p1, h2-p1 [LAB_NOT_FOUND]",
    });
    t.match(at("h1-p1", "h2"), { status: 1, stderr: "lab words has no pod h2; there are:" });
    t.match(at("h1-p1", "h1-p1"), { status: 2, stderr: "h1-p1 is h1-p1 itself" });
    t.match(tried("trace", "h1-p1", "h2-p1", "--name", "none"), { status: 1, stderr: "no lab is named none" });
    t.match(at("nobody", "10.244.1.1"), { status: 1, stderr: "no network namespace is named nobody" });
    t.match(at("h1-p1", "h2-p1", "--port", "80"), { status: 2, stderr: "--port 80 needs --proto tcp or udp" });
    t.match(at("h1-p1", "h2-p1", "--proto", "tcp"), { status: 2, stderr: "--proto tcp needs --port" });
    t.match(at("h1-p1", "h2-p1", "--seconds", "-1"), { status: 2, stderr: "--seconds -1 is not accepted" });
  });
});
