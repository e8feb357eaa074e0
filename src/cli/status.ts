// `hopsack status`: asks the daemon on its status socket and shows one screen, what is wrong first; --watch draws it again and again.
import { type Command, Option } from "commander";
import { parseValue } from "../daemon/flags.js";
import { seconds } from "../daemon/option-values.js";
import type { StatusReport } from "../daemon/status.js";
import { fetchStatus, parseStatus } from "../daemon/status-client.js";
import { HopsackError } from "../errors.js";
import { showLive } from "./live.js";
import { errorText, paintFor } from "./output.js";
import { renderStatus } from "./status-screen.js";

const DEFAULT_SOCKET = "/run/hopsack/hopsackd.sock";
const WATCH_SECONDS = "2";
/** Of the peers on one screen. */
export const PEERS_LIMIT = 20;

interface StatusOptions {
  readonly json?: boolean;
  readonly all?: boolean;
  readonly watch?: boolean | string;
  readonly socket: string;
}

export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("show this host's lease, peers, traffic and drops")
    .option("--json", "print the daemon's report as JSON")
    .option("--all", `list every peer, not only ${PEERS_LIMIT}`)
    .option("--watch [seconds]", `draw it again every so many seconds (${WATCH_SECONDS}), until Ctrl-C`)
    .addOption(socketOption())
    .action(async ({ json, all, watch, socket }: StatusOptions) => {
      const paint = paintFor(process.stdout, process.env);
      const limit = all === true ? Number.POSITIVE_INFINITY : PEERS_LIMIT;
      const draw = async (): Promise<string> => {
        const body = await fetchStatus(socket);
        return json === true ? body : renderStatus(parseStatus(body, socket), paint, Date.now(), limit);
      };
      if (watch === undefined) process.stdout.write(await draw());
      else
        await showLive(process.stdout, { seconds: readSeconds("--watch", watch), frames: null, draw: patient(draw) });
    });
}

export function socketOption(): Option {
  const place = process.env.HOPSACKD_STATUS_SOCKET || DEFAULT_SOCKET;
  return new Option("--socket <path>", "status socket of the daemon").default(place);
}

/** @throws BAD_OPTION */
export function readSeconds(flag: string, given: boolean | string): number {
  return parseValue(flag, given === true ? WATCH_SECONDS : String(given), seconds);
}

/** While a daemon is restarted there is a sentence to see, and then its screen again. */
export function patient(draw: () => Promise<string>): () => Promise<string> {
  return () =>
    draw().catch((error: unknown) => {
      if (error instanceof HopsackError && error.code === "NOT_RUNNING") return `${errorText("hopsack", error)}\n`;
      throw error;
    });
}

export async function fetchReport(socket: string): Promise<StatusReport> {
  return parseStatus(await fetchStatus(socket), socket);
}
