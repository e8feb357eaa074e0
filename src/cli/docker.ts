// `hopsack docker-opts` and `hopsack docker-config`: Docker on this host's lease. Both read subnet.env and write one file.
import { lstat, readFile, realpath, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import { formatDockerOpts, mergeDockerConfig } from "../lease/docker-options.js";
import { replaceFile } from "../lease/replace-file.js";
import { parseSubnetEnv, subnetEnvWords } from "../lease/subnet-env.js";
import { formatPrefix } from "../net/prefix.js";

const DEFAULT_SUBNET_FILE = "/run/flannel/subnet.env";
const FILE_MODE = 0o644;
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const DOCKER_28 = `
Docker 28 and later drop what other hosts send to a container's own address. For published ports set
"allow-direct-routing": true in daemon.json; for all ports make a network with
  docker network create -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected …`;

interface OptsOptions {
  readonly file: string;
  readonly dockerFile: string;
  readonly individual?: boolean;
  readonly combined?: boolean;
  readonly withoutIpMasq?: boolean;
  readonly key: string;
}

export function addDockerCommands(program: Command): void {
  program
    .command("docker-opts")
    .description("write Docker's options for this host's lease, as flannel's mk-docker-opts.sh does")
    .option("-f, --file <file>", "the lease", DEFAULT_SUBNET_FILE)
    .option("-d, --docker-file <file>", "where to write", "/run/docker_opts.env")
    .option("-i, --individual", "one variable for each option; without -i and -c: both forms")
    .option("-c, --combined", "one variable with all options")
    .option("-m, --without-ip-masq", "leave --ip-masq out")
    .option("-k, --key <name>", "name of the variable with all options", "DOCKER_OPTS")
    .action(writeDockerOpts);
  program
    .command("docker-config")
    .description(
      "write bip, mtu and ip-masq for this host's lease into Docker's daemon.json; restart Docker afterwards",
    )
    .option("-f, --file <file>", "the lease", DEFAULT_SUBNET_FILE)
    .option("--config <file>", "Docker's configuration", "/etc/docker/daemon.json")
    .option("--dry-run", "print what would be written")
    .addHelpText("after", DOCKER_28)
    .action(writeDockerConfig);
}

async function writeDockerOpts(options: OptsOptions): Promise<void> {
  const { file, dockerFile, individual, combined, withoutIpMasq, key } = options;
  if (!SHELL_NAME.test(key)) {
    throw new HopsackError("BAD_OPTION", `-k ${JSON.stringify(key)} cannot name a variable; use letters, digits and _`);
  }
  const words = await readLease(file);
  const isBoth = individual === combined;
  const text = formatDockerOpts(words, {
    hasIndividual: isBoth || individual === true,
    hasCombined: isBoth || combined === true,
    combinedKey: key,
    combinedBefore: process.env[key] ?? "",
    hasIpMasq: withoutIpMasq !== true,
  });
  await overwrite(dockerFile, text, "choose another one with -d");
}

interface ConfigOptions {
  readonly file: string;
  readonly config: string;
  readonly dryRun?: boolean;
}

async function writeDockerConfig({ file, config, dryRun }: ConfigOptions): Promise<void> {
  const words = await readLease(file);
  const before = await readIfThere(config);
  const after = mergeDockerConfig(before, words, config);
  if (dryRun === true) {
    process.stdout.write(after);
    return;
  }
  if (before === after) {
    process.stdout.write(`${config} is as it has to be\n`);
    return;
  }
  await overwrite(config, after, "choose another one with --config");
  process.stdout.write(`${config} is written; restart Docker: systemctl restart docker\n`);
}

/** The lease's words, none of which Docker could not use. @throws BAD_CONFIG, NETWORK_OVERLAP */
async function readLease(file: string): Promise<ReadonlyMap<string, string>> {
  const text = await readIfThere(file);
  if (text === null) {
    throw new HopsackError("BAD_CONFIG", `the lease file ${file} is not there; start hopsackd, or name it with -f`);
  }
  const { previous, fault } = parseSubnetEnv(text, file);
  const words = subnetEnvWords(text);
  const mtu = words.get("FLANNEL_MTU");
  if (mtu === undefined || !/^[1-9][0-9]{0,4}$/.test(mtu)) {
    const problem = mtu === undefined ? "FLANNEL_MTU is missing" : `FLANNEL_MTU=${mtu} is no MTU`;
    throw unusable(fault ?? `${file}: ${problem}`);
  }
  if (previous === null) throw unusable(fault ?? file);
  refuseForeignRoute(formatPrefix(previous.subnet));
  return words;
}

function unusable(fault: string): HopsackError {
  return new HopsackError("BAD_CONFIG", `${fault}; hopsackd writes the lease file anew when it starts`);
}

/** Docker's bridge would never see a packet. */
function refuseForeignRoute(subnet: string): void {
  const rtnetlink = new Rtnetlink();
  try {
    const route = rtnetlink
      .routes()
      .find(({ prefix, nextHops }) => prefix === subnet && nextHops.some((hop) => hop.gateway));
    if (route === undefined) return;
    const problem = `the lease ${subnet} is routed via ${route.nextHops[0]?.gateway}, so Docker cannot have it`;
    throw new HopsackError("NETWORK_OVERLAP", `${problem}; remove that route (ip route delete ${subnet})`);
  } finally {
    rtnetlink.close();
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw new HopsackError("BAD_CONFIG", `${path} cannot be read (${messageOf(error)})`, { cause: error });
  }
}

/** At once and with its old mode, through symbolic links; into devices and pipes directly. @throws FILE_UNWRITABLE */
async function overwrite(path: string, text: string, cure: string): Promise<void> {
  try {
    const target = await realpath(path).catch(() => path);
    const before = await lstat(target).catch(() => null);
    if (before !== null && !before.isFile()) await writeFile(path, text);
    else await replaceFile(target, text, before === null ? FILE_MODE : before.mode & 0o777);
  } catch (error) {
    throw new HopsackError("FILE_UNWRITABLE", `${path} cannot be written (${messageOf(error)}); ${cure}`, {
      cause: error,
    });
  }
}
