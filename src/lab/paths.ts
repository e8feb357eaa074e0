// The roads between the first two hosts of a lab that are measured beside each other. Client, server and destination
// address stay the same: only the route to the second host's subnet differs, and how hopsackd runs.
import { HopsackError } from "../errors.js";
import { ipBatch, run } from "./command.js";
import { type Lab, restartDaemons } from "./lab.js";
import type { HostReport } from "./lab-folder.js";
import { measureStream, type StreamEnds, type StreamResult } from "./throughput.js";

/** "veth": plain routing, no overlay · "vxlan": the kernel's own device · "udp-naive": hopsackd --naive. */
export type PathName = "veth" | "vxlan" | "udp" | "udp-naive";

/** Link of the hosts that carries the packets to be measured. */
const LINKS: Readonly<Record<PathName, string>> = {
  veth: "eth0",
  vxlan: "vxlan100",
  udp: "flannel0",
  "udp-naive": "flannel0",
};

/** The VXLAN devices' own addresses, outside the overlay's Network. */
const VXLAN_FIRST = "172.31.255.1";
const VXLAN_SECOND = "172.31.255.2";
/** A path counts as used when its link carried this share of what the receiver got. */
const LEAST_SHARE = 0.9;

/** Measures the paths of one lab one after the other; holds what has to be undone. */
export class PathRunner {
  #lab: Lab;
  #isNaive = false;
  readonly #pair: readonly [HostReport, HostReport];

  /** @param lab two hosts at least, its daemons running without `--naive` */
  constructor(lab: Lab) {
    const [first, second] = lab.report.hosts;
    if (first === undefined || second === undefined) throw new HopsackError("BAD_OPTION", "paths need two hosts");
    this.#lab = lab;
    this.#pair = [first, second];
  }

  /**
   * Sends one TCP stream over the path, and makes sure that it went there.
   * @throws TOOL_FAILED when another path was taken, LAB_UNREACHABLE when the daemons do not come back
   */
  async measure(path: PathName, seconds: number, signal: AbortSignal): Promise<StreamResult> {
    await this.#runDaemons(path === "udp-naive", signal);
    const undo: NetnsLine[] = [];
    try {
      if (path === "veth" || path === "vxlan") await this.#enterKernelPath(path, undo, signal);
      return await this.#measureChecked(path, seconds, signal);
    } finally {
      // Without the signal: an abort must not leave a route behind that outlives the measurement.
      for (const { netns, line } of undo.toReversed()) await ipBatch(netns, [line]);
    }
  }

  async #measureChecked(path: PathName, seconds: number, signal: AbortSignal): Promise<StreamResult> {
    const [first, second] = this.#pair;
    const ends = this.#ends();
    await requireRoute(first, ends.address, LINKS[path], signal);
    const before = await receivedBytes(second, LINKS[path], signal);
    const result = await measureStream(ends, seconds, signal);
    const carried = (await receivedBytes(second, LINKS[path], signal)) - before;
    if (carried < result.receivedBytes * LEAST_SHARE) {
      const amounts = `${carried} of ${result.receivedBytes} bytes`;
      throw new HopsackError("TOOL_FAILED", `only ${amounts} came through ${LINKS[path]} of ${second.name}`);
    }
    return result;
  }

  /** From the first pod of one host to that of the other, through the hosts. */
  #ends(): StreamEnds {
    const [client, server] = [this.#pair[0].pods[0], this.#pair[1].pods[0]];
    if (client === undefined || server === undefined) throw new HopsackError("BAD_OPTION", "paths need a pod a host");
    return { clientNetns: client.netns, serverNetns: server.netns, address: server.address };
  }

  async #runDaemons(isNaive: boolean, signal: AbortSignal): Promise<void> {
    if (isNaive === this.#isNaive) return;
    this.#lab = await restartDaemons(this.#lab, isNaive ? ["--naive"] : [], signal);
    this.#isNaive = isNaive;
  }

  /** Routes the subnets of both hosts around the tunnel. What takes it back is added to `undo` step by step. */
  async #enterKernelPath(path: "veth" | "vxlan", undo: NetnsLine[], signal: AbortSignal): Promise<void> {
    const [first, second] = this.#pair;
    const { clientNetns, serverNetns } = this.#ends();
    for (const netns of [clientNetns, serverNetns]) {
      // VXLAN's smaller MTU is learnt on the way; the next path must not be held to it.
      undo.push({ netns, line: "route flush cache" });
    }
    await enterHost(path, { host: first, peer: second, address: VXLAN_FIRST, peerAddress: VXLAN_SECOND }, undo, signal);
    await enterHost(path, { host: second, peer: first, address: VXLAN_SECOND, peerAddress: VXLAN_FIRST }, undo, signal);
  }
}

/** One `ip` command line and where it runs. */
interface NetnsLine {
  readonly netns: string;
  readonly line: string;
}

interface HostView {
  readonly host: HostReport;
  readonly peer: HostReport;
  readonly address: string;
  readonly peerAddress: string;
}

async function enterHost(
  path: "veth" | "vxlan",
  { host, peer, address, peerAddress }: HostView,
  undo: NetnsLine[],
  signal: AbortSignal,
): Promise<void> {
  const { netns } = host;
  if (path === "veth") {
    await ipBatch(netns, [`route add ${peer.subnet} via ${peer.underlay}`], signal);
    undo.push({ netns, line: `route del ${peer.subnet} via ${peer.underlay}` });
    return;
  }
  const device = `link add vxlan100 type vxlan id 100 dstport 8472 local ${host.underlay} remote ${peer.underlay} dev eth0`;
  await ipBatch(netns, [device], signal);
  undo.push({ netns, line: "link del vxlan100" }); // and its routes with it
  const lines = [`address add ${address}/30 dev vxlan100`, "link set vxlan100 up"];
  await ipBatch(netns, [...lines, `route add ${peer.subnet} via ${peerAddress} dev vxlan100`], signal);
}

/** @throws TOOL_FAILED when packets to `address` leave the host by another link: an old route may beat the new one */
async function requireRoute(host: HostReport, address: string, link: string, signal: AbortSignal): Promise<void> {
  const text = await run("ip", ["-n", host.netns, "route", "get", address], { signal });
  if (text.includes(` dev ${link} `)) return;
  const words = text.trim().split("\n")[0] ?? "";
  throw new HopsackError("TOOL_FAILED", `${host.name} does not use ${link} towards ${address}, but: ${words}`);
}

async function receivedBytes(host: HostReport, link: string, signal: AbortSignal): Promise<number> {
  const text = await run("ip", ["-n", host.netns, "-j", "-s", "link", "show", "dev", link], { signal });
  return Number(/"rx":\{"bytes":([0-9]+)/.exec(text)?.[1] ?? Number.NaN);
}
