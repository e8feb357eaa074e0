// Says in the log, once for each reason, why packets do not go by the engine that was asked for. Called by forwarding.ts.
import type { Engine, EngineReport } from "../dataplane/accelerator.js";
import type { Logger } from "./log.js";

export class EngineNote {
  #objection: string | null = null;

  note(log: Logger, asked: Engine, { name, reason }: EngineReport): void {
    if (asked !== "ebpf") return;
    if (name !== "ebpf" && reason !== this.#objection) log.warn({ reason }, "engine_not_used");
    this.#objection = name === "ebpf" ? null : reason;
  }
}
