// A real etcd cluster (Debian's etcd-server) for one test file that runs in a namespace of its own (netns.ts): fixed ports
// on its loopback, data on its tmpfs, and the kernel ends the members with the namespace.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { EtcdClient } from "../../src/store/etcd-client.js";
import { checkedEtcdSettings, type EtcdSettings } from "../../src/store/etcd-settings.js";

const READY_LIMIT_MS = 60_000;
const POLL_MS = 20;
let clusters = 0;

interface Member {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly metricsUrl: string;
  process: ChildProcess | null;
  /** Neither killed nor frozen. */
  isAnswering: boolean;
}

export interface ClusterOptions {
  readonly members?: number;
  /** Added to every member's command line. */
  readonly args?: readonly string[];
  /** `https` needs the TLS options in `args`. */
  readonly scheme?: "http" | "https";
  /** Where the members listen; default: loopback. */
  readonly address?: string;
}

export class EtcdCluster {
  readonly #folder: string;
  readonly #members: readonly Member[];
  readonly #args: readonly string[];

  private constructor({ members: count = 1, args = [], scheme = "http", address = "127.0.0.1" }: ClusterOptions) {
    const number = clusters++;
    this.#folder = `/run/etcd-${number}`;
    this.#args = args;
    mkdirSync(this.#folder, { mode: 0o700 });
    this.#members = Array.from({ length: count }, (_, index) => {
      const port = 2379 + number * 100 + index * 10;
      const peerUrl = `http://${address}:${port + 1}`;
      const metricsUrl = `http://${address}:${port + 2}`;
      const clientUrl = `${scheme}://${address}:${port}`;
      return { name: `m${index + 1}`, clientUrl, peerUrl, metricsUrl, process: null, isAnswering: false };
    });
  }

  /** Starts the members and waits until each of them answers. */
  static async start(options: ClusterOptions = {}): Promise<EtcdCluster> {
    const cluster = new EtcdCluster(options);
    await cluster.startAll();
    return cluster;
  }

  get endpoints(): string[] {
    return this.#members.map(({ clientUrl }) => clientUrl);
  }

  settings(more: Partial<EtcdSettings> = {}): EtcdSettings {
    const files = { caFile: null, certFile: null, keyFile: null };
    const login = { username: null, password: null, passwordFile: null };
    return checkedEtcdSettings({
      endpoints: this.endpoints,
      prefix: "/coreos.com/network",
      ...files,
      ...login,
      ...more,
    });
  }

  async startAll(): Promise<void> {
    for (const index of this.#members.keys()) this.#spawn(index);
    await this.ready();
  }

  /** Starts a member that was killed; its data is as it left it. */
  async start(index: number): Promise<void> {
    this.#spawn(index);
    await this.ready();
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + READY_LIMIT_MS;
    for (const member of this.#members.filter(({ isAnswering }) => isAnswering)) {
      while (!(await isHealthy(member))) {
        if (Date.now() > deadline) throw new Error(`etcd ${member.name} is not ready:\n${this.log(member.name)}`);
        await delay(POLL_MS);
      }
    }
  }

  /** Ends a member by SIGKILL, and waits until it is gone. */
  async kill(index: number): Promise<void> {
    const child = this.#running(index);
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#setAnswering(index, false);
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await gone;
  }

  async killAll(): Promise<void> {
    for (const index of this.#members.keys()) await this.kill(index);
  }

  /** Waits until a write succeeds: after the loss of a leader there is none for a while. */
  async writable(): Promise<void> {
    const deadline = Date.now() + READY_LIMIT_MS;
    for (;;) {
      try {
        this.put("/probe", "");
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  /** Its own metrics, Prometheus text. */
  async metrics(): Promise<string> {
    const answer = await fetch(`${this.#members[0]?.metricsUrl}/metrics`);
    return answer.text();
  }

  freeze(index: number): void {
    this.#setAnswering(index, false);
    this.#running(index).kill("SIGSTOP");
  }

  thaw(index: number): void {
    this.#setAnswering(index, true);
    this.#running(index).kill("SIGCONT");
  }

  /** Which member leads. */
  leader(): number {
    const rows = this.etcdctl("endpoint status -w simple").trim().split("\n");
    const leading = rows.find((row) => row.split(", ")[4] === "true")?.split(", ")[0] ?? "";
    return this.#members.findIndex(({ clientUrl }) => clientUrl === leading);
  }

  /** Kills all members and takes their data away: an empty cluster with the same addresses is next. */
  async wipe(): Promise<void> {
    await this.killAll();
    for (const { name } of this.#members) rmSync(`${this.#folder}/${name}`, { recursive: true });
  }

  /** Arguments split on blanks; for a value with blanks use `put`. */
  etcdctl(args: string): string {
    return this.#etcdctl(args.split(" "));
  }

  put(key: string, value: string, leaseId: string | null = null): void {
    this.#etcdctl(["put", ...(leaseId === null ? [] : [`--lease=${leaseId}`]), "--", key, value]);
  }

  /** Udp leases `10.a.b.0-24` from 10.1.0.0 on, without an end, a hundred a transaction. */
  async putMany(prefix: string, count: number): Promise<void> {
    const client = new EtcdClient(this.settings());
    for (let first = 256; first < 256 + count; first += 100) {
      const puts = Array.from({ length: 100 }, (_, index) => {
        const [high, low] = [(first + index) >> 8, (first + index) & 255];
        const value = JSON.stringify({ PublicIP: `172.16.${high}.${low}`, PublicIPv6: null });
        const key = `${prefix}/subnets/10.${high}.${low}.0-24`;
        return { request_put: { key: Buffer.from(key), value: Buffer.from(value) } };
      });
      await client.commit([], puts);
    }
    client.close();
  }

  /** Everything under a prefix: key → value. */
  contents(prefix: string): Record<string, string> {
    const { kvs = [] }: { kvs?: { key: string; value: string }[] } = JSON.parse(
      this.etcdctl(`get --prefix ${prefix} -w json`),
    );
    const text = (base64: string) => Buffer.from(base64, "base64").toString("utf8");
    return Object.fromEntries(kvs.map(({ key, value }) => [text(key), text(value)]));
  }

  /** IDs of all etcd leases, hexadecimal. */
  leaseIds(): string[] {
    return this.etcdctl("lease list").trim().split("\n").slice(1);
  }

  revision(): number {
    const answer: { header: { revision: number } } = JSON.parse(this.etcdctl("get nothing -w json"));
    return answer.header.revision;
  }

  log(name: string): string {
    return readFileSync(`${this.#folder}/${name}.log`, "utf8").split("\n").slice(-15).join("\n");
  }

  #etcdctl(args: readonly string[]): string {
    const env = { ...process.env, ETCDCTL_API: "3" };
    const answering = this.#members.filter(({ isAnswering }) => isAnswering).map(({ clientUrl }) => clientUrl);
    const endpoints = `--endpoints=${answering.join(",")}`;
    return execFileSync("etcdctl", [endpoints, ...args], { encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });
  }

  #running(index: number): ChildProcess {
    const child = this.#members[index]?.process;
    if (child === null || child === undefined) throw new Error(`etcd member ${index} was never started`);
    return child;
  }

  #spawn(index: number): void {
    const member = this.#members[index];
    if (member === undefined) throw new Error(`there is no etcd member ${index}`);
    const log = openSync(`${this.#folder}/${member.name}.log`, "a");
    member.process = spawn("etcd", [...this.#memberArgs(member), ...this.#args], { stdio: ["ignore", log, log] });
    closeSync(log);
    member.isAnswering = true;
  }

  #setAnswering(index: number, isAnswering: boolean): void {
    const member = this.#members[index];
    if (member !== undefined) member.isAnswering = isAnswering;
  }

  #memberArgs({ name, clientUrl, peerUrl, metricsUrl }: Member): string[] {
    const cluster = this.#members.map((member) => `${member.name}=${member.peerUrl}`).join(",");
    return [
      ...["--name", name, "--data-dir", `${this.#folder}/${name}`, "--logger", "zap", "--log-level", "warn"],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl, "--listen-metrics-urls", metricsUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl, "--initial-cluster", cluster],
    ];
  }
}

/** Whether a member answers with the consent of the others; asked on its port for metrics, which has no TLS. */
async function isHealthy({ metricsUrl }: Member): Promise<boolean> {
  const answer = await fetch(`${metricsUrl}/health`, { signal: AbortSignal.timeout(1000) }).catch(() => null);
  return (await answer?.text())?.includes('"health":"true"') === true;
}
