// `hopsack leases …`: looks at the leases of a store and changes them, on any store that hopsackd can use. No daemon is
// needed, and none is asked.
import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { commandOption, type GivenOptions, parseValue } from "../daemon/flags.js";
import * as values from "../daemon/option-values.js";
import { readStoreOptions, STORE_FLAGS } from "../daemon/store-options.js";
import { HopsackError, messageOf } from "../errors.js";
import { type Lease, leaseKey } from "../lease/lease.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import { fitsConfig, type SubnetPair } from "../lease/subnet-allocator.js";
import { formatAddress, formatPrefix, type IpFamily, type Prefix, parseAddress, parsePrefix } from "../net/prefix.js";
import { parseLeaseKey } from "../store/keys.js";
import { describeHolder, describeSubnets } from "../store/lease-rules.js";
import type { LeaseStore } from "../store/lease-store.js";
import { openStore } from "../store/registry.js";
import * as screens from "./lease-screens.js";
import { paintFor } from "./output.js";

/** Renewal belongs to hopsackd: nothing is leased here. */
const LEASE_TTL_SECONDS = 86_400;

export function addLeasesCommand(program: Command): void {
  const leases = program.command("leases").description("look at the leases of a store, reserve and release subnets");
  addList(leases);
  addShow(leases);
  addReserve(leases);
  addRelease(leases);
  addConfig(leases);
  addSetConfig(leases);
  for (const command of leases.commands) addStoreOptions(command);
}

export function addStoreOptions(command: Command): void {
  for (const flag of STORE_FLAGS) command.addOption(commandOption(flag).helpGroup("The store, as hopsackd's:"));
  command.addHelpText("after", "\nEvery option of the store can be an environment variable: HOPSACKD_STORE, …");
}

function addList(leases: Command): void {
  leases
    .command("list")
    .description("show every lease, sorted by subnet")
    .option("--json", "print them as JSON")
    .action(({ json, ...given }: GivenOptions) =>
      withStore(given, async (store) => {
        const sorted = screens.sortedLeases(await store.list());
        if (json === true) return printJson({ store: store.description, leases: sorted.map(screens.leaseJson) });
        print(screens.leaseTable(sorted, store.description, paintFor(process.stdout, process.env), Date.now()));
      }),
    );
}

function addShow(leases: Command): void {
  leases
    .command("show")
    .description("show everything of one lease")
    .argument("<lease>", "its key (10.244.1.0-24), subnet or public IP")
    .option("--json", "print it as JSON")
    .action((name: string, { json, ...given }: GivenOptions) =>
      withStore(given, async (store) => {
        const lease = await requireLease(store, name);
        if (json === true) return printJson(screens.leaseJson(lease));
        print(screens.leaseFacts(lease, store.description, paintFor(process.stdout, process.env), Date.now()));
      }),
    );
}

function addReserve(leases: Command): void {
  leases
    .command("reserve")
    .description("keep a subnet for a public IP, for ever; its own lease of that subnet becomes permanent")
    .argument("<subnet>", "for example 10.244.5.0/24")
    .requiredOption("--public-ip <IP>", "address of the host that gets it")
    .option("--ipv6 <SUBNET>", "the IPv6 subnet beside it, in a network that has both")
    .action((subnetText: string, { publicIp, ipv6, ...given }: GivenOptions) => {
      const subnet = parseSubnet("", subnetText, 4);
      const subnetV6 = typeof ipv6 === "string" ? parseSubnet("--ipv6 ", ipv6, 6) : null;
      const address = parseValue("--public-ip", String(publicIp), values.hostAddress);
      return withStore(given, (store) => reserve(store, { subnet, subnetV6 }, address));
    });
}

async function reserve(store: LeaseStore, pair: SubnetPair, publicIp: string): Promise<void> {
  const config = await store.readConfig();
  if (!fitsConfig(config, pair)) throw notLeased(config, pair);
  const before = (await store.list()).filter((lease) => lease.attrs.publicIp === publicIp);
  // A mode it names must be the network's: the other hosts' daemons judge a lease by it.
  const backendType = config.backend.type || "udp";
  const attrs = { publicIp, publicIpv6: null, backendType, backendData: null, backendV6Data: null, node: null };
  await store.reserve({ ...pair, attrs });
  const isHeld = before.some((lease) => leaseKey(lease) === leaseKey(pair));
  print(`${describeSubnets(pair)} is reserved for ${publicIp}${isHeld ? ", which holds it already" : ""}\n`);
  const other = before.find((lease) => lease.expiresAt !== null && leaseKey(lease) !== leaseKey(pair));
  if (other !== undefined) {
    print(`${describeHolder(other)} holds ${describeSubnets(other)} now; it moves when its hopsackd starts again\n`);
  }
}

function addRelease(leases: Command): void {
  leases
    .command("release")
    .description("take a lease or reservation away from whoever holds it; asks nothing")
    .argument("<lease>", "its key (10.244.1.0-24), subnet or public IP")
    .action((name: string, given: GivenOptions) =>
      withStore(given, async (store) => {
        const lease = matching(await store.list(), name, store);
        // What cannot be read is in no list, and can be removed all the same.
        const pair = lease ?? parseLeaseKey(name) ?? pairOf(parsePrefix(name));
        if (pair === null || !(await store.remove(pair))) throw noSuchLease(store, name);
        if (lease === null) return print(`removed the unreadable entry ${leaseKey(pair)}\n`);
        const kind = lease.expiresAt === null ? "reservation" : "lease";
        print(`removed the ${kind} of ${describeSubnets(lease)} from ${describeHolder(lease)}\n`);
      }),
    );
}

function addConfig(leases: Command): void {
  leases
    .command("config")
    .description("show the network configuration")
    .action((given: GivenOptions) =>
      withStore(given, async (store) => print(screens.configText(await store.readConfig()))),
    );
}

function addSetConfig(leases: Command): void {
  leases
    .command("set-config")
    .description("replace the network configuration, when it is valid and no live lease falls out of it")
    .argument("<file>", "network configuration (JSON), - for standard input")
    .option("--force", "even when live leases no longer fit")
    .action(async (file: string, { force, ...given }: GivenOptions) => {
      const text = await readConfigText(file);
      const config = parseNetworkConfig(text, file === "-" ? "standard input" : file);
      await withStore(given, (store) => setConfig(store, text, config, force === true));
    });
}

async function setConfig(store: LeaseStore, text: string, config: NetworkConfig, isForced: boolean): Promise<void> {
  const before = await store.readConfig().catch((error: unknown) => {
    if (error instanceof HopsackError && error.code === "BAD_CONFIG") return null;
    throw error;
  });
  const orphans = screens.sortedLeases(await store.list()).filter((lease) => !fitsConfig(config, lease));
  const isOne = orphans.length === 1;
  const count = isOne ? "1 live lease" : `${orphans.length} live leases`;
  if (orphans.length > 0 && !isForced) {
    const sentence = `${count} would not fit the new network: ${screens.namedLeases(orphans)}`;
    const cure = isOne
      ? "release it first, or give --force to move its host"
      : "release them first, or give --force to move their hosts";
    throw new HopsackError("LEASES_ORPHANED", `${sentence}; ${cure}`);
  }
  await store.writeConfig(text);
  print(screens.configChange(before, config, store.description));
  if (orphans.length > 0) {
    print(
      `${count} no longer ${isOne ? "fits" : "fit"}: ${screens.namedLeases(orphans)}; hosts that run take other subnets\n`,
    );
  }
}

/** Opens the store that the options name, and closes it after `work`. What it has to say goes to standard error. */
export async function withStore(given: GivenOptions, work: (store: LeaseStore) => Promise<void>): Promise<void> {
  const { store: spec, etcd } = readStoreOptions(given, process.env);
  const paint = paintFor(process.stderr, process.env);
  const onWarning = (message: string): void => void process.stderr.write(`${paint.yellow(`! ${message}`)}\n`);
  const store = await openStore(spec, { etcd, leaseTtlSeconds: LEASE_TTL_SECONDS, netConfigPath: null, onWarning });
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

/** The lease of this key, subnet or public address; null when there is none. @throws BAD_OPTION when several could be meant */
function matching(leases: readonly Lease[], name: string, store: LeaseStore): Lease | null {
  const prefix = parsePrefix(name);
  const address = parseAddress(name);
  const pair = parseLeaseKey(name);
  if (prefix === undefined && address === undefined && pair === undefined) {
    const cure = "give a key such as 10.244.1.0-24, a subnet or a public IP";
    throw new HopsackError("BAD_OPTION", `${JSON.stringify(name)} names no lease; ${cure}`);
  }
  const wanted = address === undefined ? undefined : formatAddress(address.family, address.bits);
  const isMeant = ({ subnet, subnetV6, attrs }: Lease): boolean => {
    if (pair !== undefined) return leaseKey({ subnet, subnetV6 }) === leaseKey(pair);
    if (wanted !== undefined) return attrs.publicIp === wanted || attrs.publicIpv6 === wanted;
    return [subnet, subnetV6].some(
      (part) => part !== null && prefix !== undefined && formatPrefix(part) === formatPrefix(prefix),
    );
  };
  const found = leases.filter(isMeant);
  if (found.length <= 1) return found[0] ?? null;
  const keys = found.map(leaseKey).join(", ");
  throw new HopsackError(
    "BAD_OPTION",
    `${name} means ${found.length} leases of ${store.description}; name one: ${keys}`,
  );
}

async function requireLease(store: LeaseStore, name: string): Promise<Lease> {
  const lease = matching(await store.list(), name, store);
  if (lease === null) throw noSuchLease(store, name);
  return lease;
}

function noSuchLease(store: LeaseStore, name: string): HopsackError {
  const cure = "hopsack leases list shows those there are";
  return new HopsackError("NO_SUCH_LEASE", `${store.description} holds no lease ${name}; ${cure}`);
}

function notLeased(config: NetworkConfig, pair: SubnetPair): HopsackError {
  const ranges = [screens.leasableText(config.subnetMin, config.subnetMax)];
  if (config.subnetMinV6 !== null && config.subnetMaxV6 !== null) {
    ranges.push(`with --ipv6 ${screens.leasableText(config.subnetMinV6, config.subnetMaxV6)}`);
  }
  const sentence = `the network does not lease ${describeSubnets(pair)}; it leases ${ranges.join(", ")}`;
  return new HopsackError("BAD_OPTION", sentence);
}

function parseSubnet(option: string, text: string, family: IpFamily): Prefix {
  const subnet = parsePrefix(text);
  if (subnet?.family === family) return subnet;
  const accepted = `an IPv${family} subnet without host bits, e.g. ${family === 4 ? "10.244.5.0/24" : "fd00:244:0:5::/64"}`;
  throw new HopsackError("BAD_OPTION", `${option}${text === "" ? '""' : text} is not accepted; give ${accepted}`);
}

function pairOf(subnet: Prefix | undefined): SubnetPair | null {
  return subnet?.family === 4 ? { subnet, subnetV6: null } : null;
}

async function readConfigText(file: string): Promise<string> {
  if (file === "-") return readAll(process.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const cure = "name a file that can be read, or - for standard input";
    throw new HopsackError("BAD_OPTION", `${file} cannot be read (${messageOf(error)}); ${cure}`, { cause: error });
  }
}

function print(text: string): void {
  process.stdout.write(text);
}

function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}
