// The side of a takeover that ends (takeover.ts is the one that begins): gives device and socket away, and says when it has let go.
import { HopsackError } from "../errors.js";
import type { Context } from "./context.js";
import { failure } from "./log.js";
import { sendDescriptors } from "./service.js";

/** Why the daemon ends, when it does so by this. */
export const TAKEN_OVER = "takeover";

export class Handover {
  readonly #context: Pick<Context, "state" | "world" | "log">;
  readonly #ending = new AbortController();
  #successor: string | null = null;

  constructor(context: Pick<Context, "state" | "world" | "log">) {
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /**
   * Sends device and socket to the socket `to`; packets flow until end() is called.
   * @throws HANDOVER_FAILED when there is nothing in force to hand over yet; whatever the socket refuses
   */
  handOver(to: string): void {
    const { state, world, log } = this.#context;
    if (state.phase !== "ready")
      throw new HopsackError("HANDOVER_FAILED", `it is not ready to hand over, but ${state.phase}`);
    world.sendNotification(to, "STATUS=handing over", []); // throws when nobody is there
    if (state.readDescriptors !== null) sendDescriptors(world.sendNotification, to, state.readDescriptors());
    log.info({ to }, "handover");
    this.#successor = to;
  }

  /** The other one has been answered: this daemon ends. */
  end(): void {
    this.#ending.abort(TAKEN_OVER);
  }

  /** The last word: from now on the other one may begin. */
  over(): void {
    const { world, log } = this.#context;
    if (this.#successor === null) return;
    try {
      world.sendNotification(this.#successor, "STOPPING=1", []);
    } catch (error) {
      log.warn(failure(error), "successor_gone");
    }
  }
}
