// `hopsack service install|uninstall`: hopsackd as a service of systemd, for those who installed npm's package. The Debian
// package brings a unit of its own, which is left alone.
import { existsSync, realpathSync } from "node:fs";
import { mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { readPlaces } from "../daemon/options.js";
import { HopsackError, messageOf } from "../errors.js";
import { builtFile } from "../lab/background.js";
import { attempt, run } from "../lab/command.js";
import { cleanUp } from "./cleanup.js";
import { installCni, uninstallCni } from "./service-cni.js";

const SERVICE = "hopsackd.service";
const UNIT = `/etc/systemd/system/${SERVICE}`;
const PACKAGED_UNITS = [`/lib/systemd/system/${SERVICE}`, `/usr/lib/systemd/system/${SERVICE}`];
const SETTINGS_FOLDER = "/etc/hopsack";
const SETTINGS = `${SETTINGS_FOLDER}/hopsackd.env`;
const STATE_FOLDER = "/var/lib/hopsack";
const RUNTIME_FOLDER = "/run/hopsack";
/** flanneld's too: goes only when it is empty. */
const SUBNET_FOLDER = "/run/flannel";
/** Where the unit's ProtectHome and PrivateTmp let the service see nothing. */
const OUT_OF_REACH = /^\/(home|root|run\/user|tmp|var\/tmp)\//;

export function addServiceCommand(program: Command): void {
  const service = program.command("service").description("make hopsackd a service of systemd, or undo that");
  service
    .command("install")
    .description("install the unit and a file for its settings; starts nothing, and changes no settings that are there")
    .option("--cni", "the CNI plugin and a network configuration for container runtimes, too")
    .action(({ cni }: { readonly cni?: boolean }) => install(cni === true));
  service
    .command("uninstall")
    .description("stop the service, and remove its unit, its settings and everything it left on this host")
    .option("--keep-settings", `leave ${SETTINGS_FOLDER} and ${STATE_FOLDER} as they are`)
    .action(({ keepSettings }: { readonly keepSettings?: boolean }) => uninstall(keepSettings === true));
}

async function install(hasCni: boolean): Promise<void> {
  checkSystem("installed");
  const daemon = realpathSync(builtFile("cli/hopsackd.js"));
  const shipped = join(dirname(daemon), "../../systemd");
  await put(UNIT, unitFor(await readFile(join(shipped, SERVICE), "utf8"), process.execPath, daemon));
  if (!existsSync(SETTINGS)) await put(SETTINGS, await readFile(join(shipped, "hopsackd.env"), "utf8"));
  await run("systemctl", ["daemon-reload"]);
  if (hasCni) installCni([process.execPath, realpathSync(builtFile("hopsack-cni.js"))]);
  process.stdout.write(`${UNIT} and ${SETTINGS} are in place
say in the latter where the leases live, then: systemctl enable --now hopsackd
`);
}

/**
 * The shipped unit with absolute paths: a service's PATH is not the user's.
 * @throws SERVICE_REFUSED
 */
function unitFor(shipped: string, ...program: readonly string[]): string {
  const hidden = program.find((path) => OUT_OF_REACH.test(path));
  if (hidden !== undefined) {
    const problem = `${hidden} is where the unit lets the service see nothing`;
    throw new HopsackError(
      "SERVICE_REFUSED",
      `${problem}; install Node.js and hopsack for all users, as root below /usr`,
    );
  }
  return shipped.replace("/usr/bin/env hopsackd", () => program.map(unitWord).join(" "));
}

/** systemd.service(5), "Command lines": a word that stands for itself. */
function unitWord(text: string): string {
  const literal = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /[\s"'\\;]/.test(literal) ? `"${literal.replace(/["\\]/g, "\\$&")}"` : literal;
}

async function uninstall(keepsSettings: boolean): Promise<void> {
  checkSystem("uninstalled");
  const places = readPlaces({}, await readSettings());
  if (existsSync(UNIT)) await run("systemctl", ["disable", "--now", SERVICE]);
  uninstallCni();
  await remove(UNIT, `${UNIT}.d`);
  await run("systemctl", ["daemon-reload"]);
  await attempt("systemctl", ["reset-failed", SERVICE]); // fails when it has not failed
  await cleanUp(places, { hasFlannel: false, isDryRun: false, isJson: false });
  await remove(RUNTIME_FOLDER, ...(keepsSettings ? [] : [SETTINGS_FOLDER, STATE_FOLDER]));
  await rmdir(SUBNET_FOLDER).catch(() => {});
}

/** @throws SERVICE_REFUSED, NOT_PERMITTED */
function checkSystem(what: string): void {
  if (!existsSync("/run/systemd/system")) {
    const problem = `systemd does not run here, so no service can be ${what}`;
    throw new HopsackError("SERVICE_REFUSED", `${problem}; start hopsackd by what starts services on this host`);
  }
  if (process.geteuid?.() !== 0) {
    throw new HopsackError("NOT_PERMITTED", `a service is ${what} by root only; run it with sudo`);
  }
  const packaged = PACKAGED_UNITS.find((path) => existsSync(path));
  if (packaged !== undefined) {
    const cure = "start it with systemctl enable --now hopsackd, remove it with apt-get purge hopsack";
    throw new HopsackError("SERVICE_REFUSED", `${packaged} belongs to a package of this system; ${cure}`);
  }
}

/** The service's HOPSACKD_… variables: systemd.exec(5), EnvironmentFile=. */
async function readSettings(): Promise<NodeJS.ProcessEnv> {
  const text = await readFile(SETTINGS, "utf8").catch(() => "");
  const assignments = text.matchAll(/^\s*(HOPSACKD_[A-Z0-9_]+)=(.*?)\s*$/gm);
  return Object.fromEntries(
    [...assignments].map(([, name = "", value = ""]) => [name, value.replace(/^(["'])(.*)\1$/, "$2")]),
  );
}

async function put(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  } catch (cause) {
    throw new HopsackError("FILE_UNWRITABLE", `${path} cannot be written (${messageOf(cause)})`, { cause });
  }
}

async function remove(...paths: readonly string[]): Promise<void> {
  for (const path of paths.filter((one) => existsSync(one))) {
    await rm(path, { recursive: true });
    process.stdout.write(`removed ${path}\n`);
  }
}
