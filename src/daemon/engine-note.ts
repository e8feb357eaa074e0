// Says in the log, once for each reason, why packets do not go by the engine that was asked for. Called by forwarding.ts.
import type { EngineReport } from "../dataplane/accelerator.js";
import type { Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";

export class EngineNote {
  #objection: string | null = null;

  note(log: Logger, asked: DaemonOptions["engine"], { name, reason }: EngineReport): void {
    if (asked !== "ebpf" && asked !== "fou") return;
    if (name !== asked && reason !== this.#objection) log.warn({ reason }, "engine_not_used");
    this.#objection = name === asked ? null : reason;
  }
}
