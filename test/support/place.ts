// Where the daemons of one test keep what is theirs: a store they share, and private paths for every host.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import type { StatusReport } from "../../src/daemon/status.js";
import { Daemon, type Host, hopsack } from "./hopsackd.js";

const CONFIG = '{"Network": "10.244.0.0/16", "Backend": {"Type": "udp"}}';

/** A store folder and private paths for every host, removed after the test. */
export class Place {
  readonly folder = mkdtempSync("/run/hopsack-test-");
  readonly store = join(this.folder, "store");

  /** Given instead of the folder: `--etcd-endpoints …`. */
  readonly #storeFlags: readonly string[];

  constructor(t: Test, config: string = CONFIG, storeFlags: readonly string[] | null = null) {
    this.#storeFlags = storeFlags ?? ["--store", `file:${this.store}`];
    mkdirSync(this.store);
    writeFileSync(join(this.store, "config.json"), config);
    t.teardown(() => rmSync(this.folder, { recursive: true }));
  }

  subnetFile(host: Host): string {
    return join(this.folder, host.name, "subnet.env");
  }

  socket(host: Host): string {
    return join(this.folder, host.name, "hopsackd.sock");
  }

  flags(host: Host, ...more: readonly string[]): string[] {
    const own = [
      "--node-name",
      host.name,
      "--subnet-file",
      this.subnetFile(host),
      "--status-socket",
      this.socket(host),
    ];
    return [...this.#storeFlags, "--iface", "eth0", ...own, ...more];
  }

  start(t: Test, host: Host, ...more: readonly string[]): Daemon {
    const daemon = new Daemon(host, this.flags(host, ...more));
    t.teardown(() => daemon.stop());
    return daemon;
  }

  /** Ready daemons on all hosts, the first one with the subnet 10.244.1.0/24, and so on. */
  async startAll(
    t: Test,
    hosts: readonly Host[],
    flagsOf: (host: Host) => readonly string[] = () => [],
  ): Promise<Daemon[]> {
    for (const [index, host] of hosts.entries()) this.reserve(host, `10.244.${index + 1}.0/24`);
    const daemons = hosts.map((host) => this.start(t, host, ...flagsOf(host)));
    await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
    return daemons;
  }

  /** What `hopsack status` says. */
  status(host: Host): StatusReport {
    return JSON.parse(hopsack(host, `status --json --socket ${this.socket(host)}`));
  }

  /** What `hopsack cleanup` says. */
  cleanUp(host: Host): string {
    return hopsack(host, `cleanup --subnet-file ${this.subnetFile(host)} --status-socket ${this.socket(host)}`);
  }

  /** Makes the host take this subnet, as one it had before. */
  reserve(host: Host, subnet: string): void {
    mkdirSync(join(this.folder, host.name), { recursive: true });
    const lines = ["FLANNEL_NETWORK=10.244.0.0/16", `FLANNEL_SUBNET=${subnet.replace("0/24", "1/24")}`];
    writeFileSync(this.subnetFile(host), [...lines, "FLANNEL_MTU=1450", "FLANNEL_IPMASQ=false", ""].join("\n"));
  }

  /** A lease in the store, of a host without a daemon. */
  writeMember(publicIp: string, subnet: string, attrs: Readonly<Record<string, unknown>> = {}): void {
    const folder = join(this.store, "subnets");
    mkdirSync(folder, { recursive: true });
    const half = join(folder, ".member.tmp"); // who writes in place is read half-way, and told so
    writeFileSync(half, JSON.stringify({ PublicIP: publicIp, ...attrs }));
    renameSync(half, join(folder, `${subnet.replace("/", "-")}.json`));
  }

  leases(): string[] {
    const folder = join(this.store, "subnets");
    return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : [];
  }

  /** `10.244.7.0/24` as subnet.env gives it: 10.244.7.1. */
  firstAddress(host: Host): string {
    return /^FLANNEL_SUBNET=(.*)\/24$/m.exec(readFileSync(this.subnetFile(host), "utf8"))?.[1] ?? "none";
  }
}
