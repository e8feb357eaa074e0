// The micro-benchmarks build and do their work. Their figures are for people, not asserted.
import { execFileSync, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const directory = join(root, "build/native-bench");

t.setTimeout(900_000);

t.before(() => {
  const options = ["-DHOPSACK_TESTS=ON", "-DCMAKE_BUILD_TYPE=Release"];
  execFileSync("cmake", ["-S", join(root, "native"), "-B", directory, ...options], { stdio: "pipe" });
  const jobs = String(availableParallelism());
  execFileSync("cmake", ["--build", directory, "--target", "native_bench", "-j", jobs], { stdio: "pipe" });
});

t.test("every part is measured, and can be run alone for as many operations as asked", async (t) => {
  const program = join(directory, "native_bench");
  const measured = execFileSync(program, { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly name: string; readonly nanoseconds: number });
  t.ok(measured.length >= 8);
  for (const { name, nanoseconds } of measured) {
    t.ok(nanoseconds > 0, name);
    t.equal(spawnSync(program, [name, "3"]).status, 0, name);
  }
});

t.test("a part that is not known, or no operations, is a usage error", async (t) => {
  const program = join(directory, "native_bench");
  for (const args of [["warp drive", "3"], ["pump: 60 kB of TCP, out and in", "0"], ["checksum of 64 bytes"]]) {
    t.equal(spawnSync(program, args).status, 2, args.join(" "));
  }
});
