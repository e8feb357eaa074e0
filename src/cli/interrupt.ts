// Ctrl-C for commands that have to clean up before they end.
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `work` with a signal that Ctrl-C, SIGTERM and SIGHUP abort. When it has cleaned up after that, the process ends by
 * the same signal, so that a calling shell sees what happened.
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  let received: (typeof SIGNALS)[number] | null = null;
  const interrupt = (name: (typeof SIGNALS)[number]) => {
    if (received === null) process.stderr.write("\ninterrupted, cleaning up …\n");
    received ??= name;
    controller.abort(new Error(`interrupted by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    if (received === null) throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
  }
  if (received === null) return;
  process.kill(process.pid, received);
  process.exit(128 + constants.signals[received]); // PID 1 of a namespace does not die of its own signal
}

/** Runs what goes on until somebody ends it. Ctrl-C is how a person does that, and so a success. */
export async function untilEnded(work: (ending: AbortSignal) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  const end = (name: (typeof SIGNALS)[number]): void => {
    if (name !== "SIGINT") process.exitCode = 128 + constants.signals[name];
    ending.abort(new Error(`ended by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, end);
  try {
    await work(ending.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, end);
  }
}
