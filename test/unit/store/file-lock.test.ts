// store/file-lock: one at a time, with a limit to the waiting.
import { join } from "node:path";
import t from "tap";
import { loadAddon } from "../../../src/addon.js";
import { withFileLock } from "../../../src/store/file-lock.js";

const { tryLockFile } = loadAddon();
const never = new AbortController().signal;

t.test("only one of many holds the lock at any moment", async (t) => {
  const path = join(t.testdir(), "lock");
  let holders = 0;
  const turns = Array.from({ length: 10 }, () =>
    withFileLock(path, tryLockFile, never, async () => {
      holders++;
      await new Promise(setImmediate);
      return holders--;
    }),
  );
  t.same(await Promise.all(turns), Array(10).fill(1));
});

t.test("the lock is free again after the work has failed", async (t) => {
  const path = join(t.testdir(), "lock");
  await t.rejects(
    withFileLock(path, tryLockFile, never, () => Promise.reject(new Error("no"))),
    { message: "no" },
  );
  t.equal(await withFileLock(path, tryLockFile, never, async () => 7), 7);
});

t.test("a lock that is never freed is STORE_UNAVAILABLE, retryable, and names the file", async (t) => {
  const path = join(t.testdir(), "lock");
  const waiting = withFileLock(
    path,
    () => false,
    never,
    async () => t.fail("worked without the lock"),
    20,
  );
  await t.rejects(waiting, {
    code: "STORE_UNAVAILABLE",
    retryable: true,
    message: /lock for 0\.02 seconds; .*fuser \//,
  });
});

t.test("a file system without locks is STORE_UNAVAILABLE and not worth a retry", async (t) => {
  const path = join(t.testdir(), "lock");
  const refuse = (): boolean => {
    throw Object.assign(new Error("ENOLCK: no locks available, flock"), { code: "ENOLCK" });
  };
  const waiting = withFileLock(path, refuse, never, async () => t.fail("worked without the lock"));
  await t.rejects(waiting, {
    code: "STORE_UNAVAILABLE",
    retryable: false,
    message: /cannot be locked \(ENOLCK.*supports flock/,
  });
});

t.test("an aborted wait ends at once", async (t) => {
  const path = join(t.testdir(), "lock");
  const abort = new AbortController();
  const waiting = withFileLock(
    path,
    () => false,
    abort.signal,
    async () => t.fail("worked without the lock"),
  );
  abort.abort();
  await t.rejects(waiting, { name: "AbortError" });
});
