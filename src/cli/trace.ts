// `hopsack trace`: sends one packet and tells where it was seen, and where it ended. Its exit status says whether it arrived.
import { type Command, Option } from "commander";
import { parseValue } from "../daemon/flags.js";
import { wholeNumber } from "../daemon/option-values.js";
import { HopsackError } from "../errors.js";
import { requireTools } from "../lab/command.js";
import { requirePermission } from "../lab/permission.js";
import type { MarkProtocol } from "../trace/mark.js";
import { findPath } from "../trace/path.js";
import { trace } from "../trace/trace.js";
import { portNumber } from "./capture.js";
import { untilInterrupted } from "./interrupt.js";
import { DEFAULT_LAB } from "./lab.js";
import { paintFor } from "./output.js";
import { socketOption } from "./status.js";
import { traceJson, traceLines } from "./trace-screen.js";

const STOPPED_STATUS = 3;
const SECONDS = "2";
const SECONDS_LIMIT = 60;

interface TraceOptions {
  readonly name: string;
  readonly proto: MarkProtocol;
  readonly port?: string;
  readonly seconds: string;
  readonly json?: boolean;
  readonly socket: string;
}

export function addTraceCommand(program: Command): void {
  program
    .command("trace")
    .description("send one packet and show every hop where it is seen, and where it stops")
    .argument("<from>", "pod of a lab (h1-p1), or a network namespace of this machine")
    .argument("<to>", "pod of the lab, or an IPv4 address")
    .option("--name <lab>", "name of the lab", DEFAULT_LAB)
    .addOption(new Option("--proto <protocol>", "what is sent").choices(["icmp", "tcp", "udp"]).default("icmp"))
    .option("--port <port>", "where to, with tcp and udp")
    .option("--seconds <seconds>", "how long an answer may take", SECONDS)
    .option("--json", "print all of it as JSON")
    .addOption(socketOption())
    .addHelpText("after", `\nExit status: 0 it arrived and was answered, ${STOPPED_STATUS} it stopped on the way.`)
    .action(async (from: string, to: string, options: TraceOptions) => {
      const wanted = understood(options);
      requireTools(["ip", "ping", "tcpdump"]);
      requirePermission();
      await untilInterrupted(async (signal) => {
        const report = await trace(await findPath(from, to, options.name, options.socket), wanted, signal);
        const paint = paintFor(process.stdout, process.env);
        process.stdout.write(options.json === true ? traceJson(report) : traceLines(report, paint).join("\n"));
        if (report.stop !== null) process.exitCode = STOPPED_STATUS;
      });
    });
}

/** @throws BAD_OPTION */
function understood({ proto, port, seconds }: TraceOptions): Parameters<typeof trace>[1] {
  const patience = parseValue("--seconds", seconds, wholeNumber(SECONDS_LIMIT, "seconds"));
  if (proto === "icmp" && port !== undefined) {
    throw new HopsackError("BAD_OPTION", `--port ${port} needs --proto tcp or udp; an echo request has no port`);
  }
  if (proto !== "icmp" && port === undefined) {
    throw new HopsackError("BAD_OPTION", `--proto ${proto} needs --port, for example --port 80`);
  }
  return {
    protocol: proto,
    port: port === undefined ? null : parseValue("--port", port, portNumber),
    seconds: patience,
  };
}
