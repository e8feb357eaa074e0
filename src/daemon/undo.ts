// What must be taken back when the daemon ends, last done first, whether it ends by a signal or by a failed start.
import { HopsackError } from "../errors.js";

interface Step {
  readonly name: string;
  /** Instead of the limit that the others have. */
  readonly limitMs: number | null;
  run(): void | Promise<void>;
}

export class UndoStack {
  readonly #steps: Step[] = [];

  push(name: string, run: () => void | Promise<void>, limitMs: number | null = null): void {
    this.#steps.push({ name, limitMs, run });
  }

  /**
   * Runs every step; one that fails, or takes longer than `limitMs`, is reported and does not keep the others from running.
   */
  async run(limitMs: number, onFailure: (step: string, error: unknown) => void): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await within(step.limitMs ?? limitMs, step);
      } catch (error) {
        onFailure(step.name, error);
      }
    }
  }
}

async function within(limitMs: number, step: Step): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const problem = new HopsackError("STORE_UNAVAILABLE", `no answer within ${limitMs} ms; going on without it`);
    timer = setTimeout(() => reject(problem), limitMs);
  });
  try {
    await Promise.race([step.run(), late]);
  } finally {
    clearTimeout(timer);
  }
}
