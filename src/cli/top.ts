// `hopsack top`: what the daemon's host sends and receives now, in packets and bits a second, with the state of every peer.
import type { Command } from "commander";
import { parseValue } from "../daemon/flags.js";
import { wholeNumber } from "../daemon/option-values.js";
import { showLive } from "./live.js";
import { paintFor } from "./output.js";
import { fetchReport, PEERS_LIMIT, patient, readSeconds, socketOption } from "./status.js";
import { renderTop, type Sample } from "./top-screen.js";

const FRAMES_LIMIT = 1_000_000;

interface TopOptions {
  readonly interval: string;
  readonly count?: string;
  readonly all?: boolean;
  readonly socket: string;
}

export function addTopCommand(program: Command): void {
  program
    .command("top")
    .description("show live rates, losses and the state of every peer, until Ctrl-C")
    .option("--interval <seconds>", "over how long each figure is", "1")
    .option("--count <screens>", "end after so many screens with figures")
    .option("--all", `list every peer, not only ${PEERS_LIMIT}`)
    .addOption(socketOption())
    .action(async ({ interval, count, all, socket }: TopOptions) => {
      const seconds = readSeconds("--interval", interval);
      const screens = count === undefined ? null : parseValue("--count", count, wholeNumber(FRAMES_LIMIT, "screens"));
      const paint = paintFor(process.stdout, process.env);
      const limit = all === true ? Number.POSITIVE_INFINITY : PEERS_LIMIT;
      let before: Sample | null = null;
      const draw = async (): Promise<string> => {
        const now: Sample = { at: Date.now(), report: await fetchReport(socket) };
        const screen = renderTop(before, now, paint, limit);
        before = now;
        return screen;
      };
      // The first screen has nothing to compare with yet.
      const frames = screens === null ? null : screens + 1;
      await showLive(process.stdout, { seconds, frames, draw: patient(draw) });
    });
}
