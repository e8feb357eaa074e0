// One writer at a time in a lease folder, across processes and, where the file system shares flock(2), across machines.
// The kernel drops the lock of a process that dies.
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf, HopsackError, messageOf } from "../errors.js";

/** Exclusive flock(2) without waiting: false when somebody else holds it; freed when the descriptor is closed. */
export type TryLockFile = (fd: number) => boolean;

const LOCK_FILE_MODE = 0o644;
/** How long a daemon waits for the others; twenty at once need a fraction of a second. */
const LOCK_WAIT_LIMIT_MS = 10_000;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 50;

/**
 * Runs `work` while holding the lock on `path`, which is created when missing.
 * @throws STORE_UNAVAILABLE when the lock cannot be had, AbortError, the system's error from open, or what `work` throws
 */
export async function withFileLock<T>(
  path: string,
  tryLock: TryLockFile,
  signal: AbortSignal,
  work: () => Promise<T>,
  waitLimitMs: number = LOCK_WAIT_LIMIT_MS,
): Promise<T> {
  const file = await open(path, "a", LOCK_FILE_MODE);
  try {
    const deadline = performance.now() + waitLimitMs;
    for (
      let pauseMs = FIRST_PAUSE_MS;
      !isLocked(file, path, tryLock);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
    ) {
      if (performance.now() > deadline) throw lockBusy(path, waitLimitMs);
      await delay(pauseMs * (0.5 + Math.random()), undefined, { signal });
    }
    return await work();
  } finally {
    await file.close();
  }
}

function lockBusy(path: string, waitLimitMs: number): HopsackError {
  const message = `another process has held the lock ${path} for ${waitLimitMs / 1000} seconds; find it with: fuser ${path}`;
  return new HopsackError("STORE_UNAVAILABLE", message, { retryable: true });
}

function isLocked(file: FileHandle, path: string, tryLock: TryLockFile): boolean {
  try {
    return tryLock(file.fd);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    const cure = "put the store on a file system that supports flock";
    throw new HopsackError("STORE_UNAVAILABLE", `${path} cannot be locked (${messageOf(error)}); ${cure}`, {
      cause: error,
    });
  }
}
