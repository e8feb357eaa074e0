// Runs the C++ tests (native/test) under AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer. Their
// TAP lines appear as subtests.
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { trialsFolder } from "../support/trials.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

function build(folder: string, sanitizers: string): string {
  const directory = join(root, "build", folder);
  const options = ["-DHOPSACK_TESTS=ON", `-DHOPSACK_SANITIZE=${sanitizers}`];
  execFileSync("cmake", ["-S", join(root, "native"), "-B", directory, ...options], { stdio: "pipe" });
  const jobs = String(availableParallelism());
  execFileSync("cmake", ["--build", directory, "--target", "native_tests", "-j", jobs], { stdio: "pipe" });
  return join(directory, "native_tests");
}

t.setTimeout(1_800_000);

for (const [folder, sanitizers] of [
  ["native-address", "address,undefined"],
  ["native-thread", "thread"],
] as const) {
  t.test(`native tests under the ${sanitizers} sanitizers`, async (t) => {
    const program = build(folder, sanitizers);
    const env = { ...process.env, HOPSACK_TRIALS: trialsFolder() };
    await t.spawn(program, [], { stdio: "pipe", env }, sanitizers);
  });
}
