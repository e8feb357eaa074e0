// `hopsack cleanup`: removes what a hopsackd that was killed left on this host, and with --flannel what a flanneld left. Looks for
// our marks and names only, and not at the store: a lease is given back by `hopsack leases release`.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { lstat, readFile, rm } from "node:fs/promises";
import type { Command } from "commander";
import { birdFiles, endBird } from "../bird/bird.js";
import { networkOfConfig } from "../bird/config.js";
import { ControlSocket } from "../bird/control-socket.js";
import { type BirdPaths, birdPaths, birdProcess } from "../bird/program.js";
import { commandOption, type GivenOptions } from "../daemon/flags.js";
import { checkNetAdmin } from "../daemon/host.js";
import { PLACE_FLAGS, type Places, readPlaces } from "../daemon/options.js";
import { isAnswering } from "../daemon/status-server.js";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { flannelChains } from "../kernel/flannel-iptables.js";
import { hasFlannelDevice, kernelLeftovers, type Leftover } from "../kernel/leftovers.js";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import { type Prefix, parsePrefix } from "../net/prefix.js";
import { POLICY_TABLES } from "../policy/ruleset.js";

interface Wishes {
  readonly hasFlannel: boolean;
  readonly isDryRun: boolean;
  readonly isJson: boolean;
}

interface Outcome {
  readonly removed: readonly Leftover[];
  readonly failures: readonly unknown[];
}

export function addCleanupCommand(program: Command): void {
  const command = program
    .command("cleanup")
    .description("remove what a hopsackd that was killed left on this host")
    .option("--flannel", "what a flanneld left, too")
    .option("--dry-run", "only show what would be removed")
    .option("--json", "print it as JSON")
    .action(({ flannel, dryRun, json, ...given }: GivenOptions) =>
      cleanUp(readPlaces(given, process.env), {
        hasFlannel: flannel === true,
        isDryRun: dryRun === true,
        isJson: json === true,
      }),
    );
  for (const flag of PLACE_FLAGS)
    command.addOption(commandOption(flag).helpGroup("Which hopsackd, as its own options:"));
}

/** Shows what it did. @throws NOT_PERMITTED, ALREADY_RUNNING, whatever kept something from being removed */
export async function cleanUp(places: Places, { hasFlannel, isDryRun, isJson }: Wishes): Promise<void> {
  await checkNobodyRuns(places, hasFlannel);
  const rtnetlink = new Rtnetlink();
  try {
    const leftovers = await find(rtnetlink, places, hasFlannel);
    const { removed, failures } = isDryRun ? { removed: leftovers, failures: [] } : await remove(leftovers);
    process.stdout.write(isJson ? asJson(removed, isDryRun) : asText(removed, failures, isDryRun));
    if (failures.length > 0) throw failures[0];
  } finally {
    rtnetlink.close();
  }
}

/** @throws NOT_PERMITTED, ALREADY_RUNNING */
async function checkNobodyRuns({ statusSocket }: Places, hasFlannel: boolean): Promise<void> {
  checkNetAdmin(readFileSync("/proc/self/status", "utf8"), "hopsack may not look for and remove what was left here");
  if (await isServed(statusSocket)) {
    const cure = "stop it first, or name the socket of the one that was killed with --status-socket";
    throw new HopsackError("ALREADY_RUNNING", `a hopsackd answers on ${statusSocket}; ${cure}`);
  }
  const flanneld = hasFlannel ? flanneldPid() : null;
  if (flanneld !== null) {
    throw new HopsackError("ALREADY_RUNNING", `a flanneld runs here (process ${flanneld}); stop it first`);
  }
}

async function find(rtnetlink: Rtnetlink, places: Places, hasFlannel: boolean): Promise<Leftover[]> {
  const networks = await knownNetworks(places.subnetFile);
  const paths = birdPaths(places.statusSocket);
  const birdNetwork = await networkOfBird(paths);
  const inKernel = await kernelLeftovers({
    rtnetlink,
    deviceName: places.deviceName,
    networks,
    birdNetwork,
    hasFlannel,
    hostTables: POLICY_TABLES,
  });
  const isFlannels = !hasFlannel && (flanneldPid() !== null || hasFlannelDevice(rtnetlink.links()));
  const files = [
    ...(isFlannels ? [] : [places.subnetFile]),
    places.leaseCache,
    places.statusSocket,
    ...birdFiles(paths),
  ];
  return [...leftBird(paths), ...inKernel, ...(hasFlannel ? await flannelChains() : []), ...(await leftFiles(files))];
}

/** Each by itself: what cannot be removed does not keep the others. */
async function remove(leftovers: readonly Leftover[]): Promise<Outcome> {
  const removed: Leftover[] = [];
  const failures: unknown[] = [];
  for (const leftover of leftovers) {
    try {
      await leftover.remove();
      removed.push(leftover);
    } catch (error) {
      failures.push(error);
    }
  }
  return { removed, failures };
}

function asText(removed: readonly Leftover[], failures: readonly unknown[], isDryRun: boolean): string {
  if (removed.length === 0) return failures.length === 0 ? "nothing to clean\n" : "";
  const verb = isDryRun ? "would remove" : "removed";
  return removed.map(({ kind, what }) => `${verb} ${kind} ${what}\n`).join("");
}

function asJson(removed: readonly Leftover[], isDryRun: boolean): string {
  return `${JSON.stringify({ dryRun: isDryRun, removed: removed.map(({ kind, what }) => ({ kind, what })) }, null, 2)}\n`;
}

/** Whether somebody listens there; a file that is no socket is nobody's. */
async function isServed(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket() && (await isAnswering(path));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** A flanneld in our network namespace. */
function flanneldPid(): string | null {
  const own = readlinkSync("/proc/self/ns/net");
  const isHere = (pid: string): boolean => {
    try {
      const isFlanneld = readFileSync(`/proc/${pid}/comm`, "utf8") === "flanneld\n";
      return isFlanneld && readlinkSync(`/proc/${pid}/ns/net`) === own;
    } catch {
      return false; // it has ended in the meantime
    }
  };
  return readdirSync("/proc").find((name) => /^\d+$/.test(name) && isHere(name)) ?? null;
}

/** It would set its routes again, so it goes first. */
function leftBird(paths: BirdPaths): Leftover[] {
  const pid = birdProcess(paths);
  if (pid === null) return [];
  const remove = async () => {
    const control = await ControlSocket.open(paths.control, () => {}).catch(() => null);
    await endBird(paths, pid, control);
  };
  return [{ kind: "process", what: `bird ${pid}`, remove }];
}

/** What the BIRD of the daemon that was killed was told. */
async function networkOfBird({ config }: BirdPaths): Promise<Prefix | null> {
  const text = await readFile(config, "utf8").catch(() => "");
  return parsePrefix(networkOfConfig(text) ?? "") ?? null;
}

/** The networks of the daemon that wrote subnet.env; none when there is no such file. */
async function knownNetworks(subnetFile: string): Promise<Prefix[]> {
  const text = await readFile(subnetFile, "utf8").catch(() => "");
  const values = [...text.matchAll(/^FLANNEL_(?:IPV6_)?NETWORK=(.*)$/gm)].map(([, value = ""]) => parsePrefix(value));
  return values.filter((prefix) => prefix !== undefined);
}

async function leftFiles(paths: readonly string[]): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const path of paths) {
    const kind = await lstat(path).catch(() => null);
    if (kind === null || !(kind.isFile() || kind.isSocket())) continue;
    found.push({ kind: "file", what: path, remove: () => removeFile(path) });
  }
  return found;
}

async function removeFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (cause) {
    const message = `${path} cannot be removed (${messageOf(cause)}); make its folder writable`;
    throw new HopsackError("FILE_UNWRITABLE", message, { cause });
  }
}
