// The side of a takeover that ends (takeover.ts is the one that begins): gives device and socket away, lets go of everything but
// the packets, and carries those until the other one does.
import { HopsackError } from "../errors.js";
import { Bell } from "./bell.js";
import type { Context } from "./context.js";
import { failure } from "./log.js";
import { sendDescriptors } from "./service.js";

/** Why the daemon ends, when it does so by this. */
export const TAKEN_OVER = "takeover";
/** To a successor: nothing but packets is ours any more, begin. */
export const BEGIN = "X_HOPSACK_BEGIN=1";
/** To a successor: device and socket are closed. */
export const ENDED = "STOPPING=1";

/** From then on a successor that has not begun never will. */
const BEGINNING_LIMIT_MS = 5000;

export class Handover {
  readonly #context: Pick<Context, "state" | "world" | "log">;
  readonly #ending = new AbortController();
  readonly #succeeded = new Bell();
  #successor: string | null = null;

  constructor(context: Pick<Context, "state" | "world" | "log">) {
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /**
   * Sends device and socket to the socket `to`.
   * @throws HANDOVER_FAILED when there is nothing in force to hand over yet, or somebody has it; whatever the socket refuses
   */
  handOver(to: string): void {
    const { state, world, log } = this.#context;
    if (state.phase !== "ready")
      throw new HopsackError("HANDOVER_FAILED", `it is not ready to hand over, but ${state.phase}`);
    if (this.#successor !== null) throw new HopsackError("HANDOVER_FAILED", "it is handing over to another one");
    world.sendNotification(to, "STATUS=handing over", []); // throws when nobody is there
    if (state.readDescriptors !== null) sendDescriptors(world.sendNotification, to, state.readDescriptors());
    log.info({ to }, "handover");
    this.#successor = to;
  }

  /** The other one has been answered: this daemon ends. */
  end(): void {
    this.#ending.abort(TAKEN_OVER);
  }

  /** The other one carries the packets, or is gone. */
  succeeded(): void {
    this.#succeeded.ring();
  }

  /** Lets the other one begin, and resolves when packets are no longer ours to carry: at once when there is no other one. */
  async letBegin(): Promise<void> {
    if (!this.#say(BEGIN)) return;
    await this.#succeeded.within(BEGINNING_LIMIT_MS, this.#context.world.clock, new AbortController().signal);
  }

  /** The last word. */
  over(): void {
    this.#say(ENDED);
  }

  /** Whether there is somebody who hears it. */
  #say(text: string): boolean {
    const { world, log } = this.#context;
    if (this.#successor === null) return false;
    try {
      world.sendNotification(this.#successor, text, []);
      return true;
    } catch (error) {
      log.warn(failure(error), "successor_gone");
      this.#successor = null;
      return false;
    }
  }
}
