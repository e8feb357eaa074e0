// Ctrl-C for commands that have to clean up before they end.
import { constants } from "node:os";

/**
 * Runs `work` with a signal that Ctrl-C, SIGTERM and SIGHUP abort. When it has cleaned up after that, the process ends by
 * the same signal, so that a calling shell sees what happened.
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let received: (typeof names)[number] | null = null;
  const interrupt = (name: (typeof names)[number]) => {
    if (received === null) process.stderr.write("\ninterrupted, cleaning up …\n");
    received ??= name;
    controller.abort(new Error(`interrupted by ${name}`));
  };
  for (const name of names) process.on(name, interrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    if (received === null) throw error;
  } finally {
    for (const name of names) process.off(name, interrupt);
  }
  if (received === null) return;
  process.kill(process.pid, received);
  process.exit(128 + constants.signals[received]); // PID 1 of a namespace does not die of its own signal
}
