// The labs of one profile: one for each kind of lab that the modes need, all up at the same time, each as a user would have
// it. Idle daemons cost nothing, and modes can take turns without anything being restarted.
//
//     h1-p1 ── cni0 [h1] eth0 ══════ eth0 [h2] cni0 ── h2-p1          one such lab for each kind
//                    192.168.50.10   .11
import { HopsackError } from "../errors.js";
import { run } from "../lab/command.js";
import { abandonedLabs, type Lab, labDown, labStatuses, labUp, type RestartWay, restartDaemon } from "../lab/lab.js";
import type { HostReport } from "../lab/lab-folder.js";
import type { LabSpec } from "../lab/topology.js";
import type { Account } from "./accounts.js";
import type { LabKind, Mode } from "./modes.js";
import type { PeerPlace } from "./probes/many-peers.js";
import type { Ends } from "./probes/probe.js";
import type { Profile } from "./profiles.js";
import type { Road } from "./road.js";

const NAME_PREFIX = "bench-";
/** Room for the routes of scenario many-peers: 16,384 subnets, and as many hosts on the cable. */
const NETWORK = "10.64.0.0/10";
const CABLE_PREFIX_LENGTH = 16;

/** Everything a measurement of one mode needs to know of where it happens. */
export interface Place {
  readonly ends: Ends;
  readonly road: Road;
  /** The daemons as they run now. */
  daemons(): readonly Account[];
  readonly statusSockets: readonly string[];
  /** Where leases of simulated hosts go; null where no daemon keeps the road's routes. */
  readonly crowd: PeerPlace | null;
  /** Puts another daemon in the place of the second host's; it forwards at the end. Null as above. */
  readonly restartSecond: ((way: RestartWay, signal: AbortSignal) => Promise<void>) | null;
}

/** Where the modes of one profile are measured. */
export interface Site {
  placeOf(mode: Mode): Place;
  /** `ethtool -k` of the underlay's device: the features that decide how large the packets on the cable are. */
  offloads(): Promise<Record<string, string>>;
  /** Takes back whatever was made for it. */
  down(): Promise<void>;
}

export class Fleet implements Site {
  readonly #profile: Profile;
  readonly #labs = new Map<string, Lab>();

  private constructor(profile: Profile) {
    this.#profile = profile;
  }

  /**
   * Builds the labs for these modes; what failed or was aborted half-way is taken back.
   * @throws ALREADY_RUNNING when another benchmark runs, TOOL_FAILED, and what labUp() throws
   */
  static async up(
    profile: Profile,
    modes: readonly Mode[],
    signal: AbortSignal,
    progress: (step: string) => void,
  ): Promise<Fleet> {
    for (const name of abandonedLabs(NAME_PREFIX)) await labDown(name);
    refuseSecondBenchmark();
    const fleet = new Fleet(profile);
    try {
      for (const mode of modes) await fleet.#raise(mode, signal, progress);
      return fleet;
    } catch (error) {
      await fleet.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    for (const lab of this.#labs.values()) await labDown(lab.topology.spec.name);
    this.#labs.clear();
  }

  placeOf(mode: Mode): Place {
    const key = keyOf(mode.lab);
    const lab = () => requireLab(this.#labs.get(key));
    const [first, second] = hostsOf(lab());
    const ends = endsOf(first, second, mode, this.#profile);
    const statusSockets = [first.statusSocket, second.statusSocket];
    const hasDaemons = mode.target === "overlay";
    const { storeFolder } = lab().topology;
    const restartSecond = async (way: RestartWay, signal: AbortSignal): Promise<void> => {
      this.#labs.set(key, await restartDaemon(lab(), second.name, way, signal));
    };
    const daemons = () =>
      lab().report.hosts.map(({ name, daemonPid }) => ({ name: `hopsackd ${name}`, pid: daemonPid }));
    return {
      ends,
      road: { netns: first.netns, address: ends.address, device: mode.device },
      daemons,
      statusSockets,
      crowd: hasDaemons ? { storeFolder, backend: mode.lab.backend, statusSockets, daemons } : null,
      restartSecond: hasDaemons ? restartSecond : null,
    };
  }

  async offloads(): Promise<Record<string, string>> {
    const [lab] = this.#labs.values();
    return readOffloads(hostsOf(requireLab(lab))[0].netns, "eth0");
  }

  async #raise({ lab: kind }: Mode, signal: AbortSignal, progress: (step: string) => void): Promise<void> {
    const key = keyOf(kind);
    if (this.#labs.has(key)) return;
    progress(["lab up --backend", kind.backend, ...kind.daemonArgs].join(" "));
    const spec: LabSpec = {
      name: `${NAME_PREFIX}${this.#labs.size + 1}`,
      hosts: 2,
      podsPerHost: 1,
      hasIpv6: false,
      ...kind,
      network: NETWORK,
      cable: {
        mtuBytes: this.#profile.mtuBytes,
        prefixLength: CABLE_PREFIX_LENGTH,
        ethtool: this.#profile.ethtool,
      },
    };
    this.#labs.set(key, await labUp(spec, { signal, progress: () => {} }));
  }
}

/** Features of a device by name, "on" or "off". @param netns null: this machine's own */
export async function readOffloads(netns: string | null, device: string): Promise<Record<string, string>> {
  const ask = ["ethtool", "-k", device] as const;
  const [program, ...args] = netns === null ? ask : (["ip", "netns", "exec", netns, ...ask] as const);
  return parseOffloads(await run(program, args));
}

/** Reads `ethtool -k`; only what segments, merges or computes checksums. */
export function parseOffloads(text: string): Record<string, string> {
  const names = [
    "(?:tcp-segmentation|generic-\\S+|large-receive)-offload",
    "[rt]x-\\S*(?:checksum|segmentation|gro)\\S*",
  ];
  const wanted = new RegExp(`^\\s*(${names.join("|")}): (on|off)`, "gm");
  return Object.fromEntries(Array.from(text.matchAll(wanted), ([, feature = "", state = ""]) => [feature, state]));
}

function refuseSecondBenchmark(): void {
  const other = labStatuses().find(({ name }) => name.startsWith(NAME_PREFIX));
  if (other === undefined) return;
  const pid = other.state?.builder.pid;
  const sentence = `another benchmark runs (process ${pid}) and both would spoil each other's figures; wait for its end`;
  throw new HopsackError("ALREADY_RUNNING", sentence);
}

function endsOf(first: HostReport, second: HostReport, { target }: Mode, { ends }: Profile): Ends {
  const [client, server] = [first.pods[0], second.pods[0]];
  if (target === "underlay" || client === undefined || server === undefined) {
    return { clientNetns: first.netns, serverNetns: second.netns, address: second.underlay };
  }
  if (ends === "pods") return { clientNetns: client.netns, serverNetns: server.netns, address: server.address };
  return { clientNetns: first.netns, serverNetns: second.netns, address: bridgeAddress(second) };
}

/** Address of the host's cni0: the first of its subnet. */
function bridgeAddress({ subnet }: HostReport): string {
  return subnet.replace(/0\/[0-9]+$/, "1");
}

function keyOf({ backend, daemonArgs }: LabKind): string {
  return [backend, ...daemonArgs].join(" ");
}

function hostsOf({ report }: Lab): readonly [HostReport, HostReport] {
  const [first, second] = report.hosts;
  if (first === undefined || second === undefined) throw new Error("a lab of two hosts has two hosts");
  return [first, second];
}

function requireLab(lab: Lab | undefined): Lab {
  if (lab === undefined) throw new Error("the fleet has no lab of this kind");
  return lab;
}
