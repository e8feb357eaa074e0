// `npm run bench:micro`: builds native/bench and shows nanoseconds and instructions an operation of the packet street's
// parts. Instructions are counted by callgrind, in user space: the same on every run, however busy the machine.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";

const BUILD = "build/native-bench";
const COUNTS = `${BUILD}/callgrind.out`;
const OPERATIONS = 200;

const options = ["-DHOPSACK_TESTS=ON", "-DCMAKE_BUILD_TYPE=Release"];
execFileSync("cmake", ["-S", "native", "-B", BUILD, ...options], { stdio: ["ignore", "ignore", "inherit"] });
const jobs = String(availableParallelism());
execFileSync("cmake", ["--build", BUILD, "--target", "native_bench", "-j", jobs], {
  stdio: ["ignore", "ignore", "inherit"],
});

const program = `${BUILD}/native_bench`;
const lines = execFileSync(program, { encoding: "utf8" }).trim().split("\n");
const hasValgrind = spawnSync("valgrind", ["--version"]).status === 0;
if (!hasValgrind) console.log("valgrind is missing, so instructions are not counted: apt-get install valgrind\n");

const row = (name, time, count) => console.log(name.padEnd(36) + time.padStart(12) + count.padStart(14));
row("", "ns", "instructions");
for (const { name, nanoseconds } of lines.map((line) => JSON.parse(line))) {
  row(name, grouped(nanoseconds), hasValgrind ? grouped(instructions(name)) : "-");
}

/** Of one operation: what twice as many take more, so that nothing around them counts. */
function instructions(name) {
  return (instructionsOf(name, 2 * OPERATIONS) - instructionsOf(name, OPERATIONS)) / OPERATIONS;
}

function instructionsOf(name, operations) {
  const tool = ["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*MeasuredLoop*"];
  const args = [...tool, `--callgrind-out-file=${COUNTS}`, program, name, String(operations)];
  execFileSync("valgrind", args, { stdio: ["ignore", "ignore", "ignore"] });
  const total = /^(?:summary|totals): ([0-9]+)/m.exec(readFileSync(COUNTS, "utf8"));
  rmSync(COUNTS);
  return Number(total?.[1]);
}

/** Three digits or whole numbers, thousands grouped. */
function grouped(value) {
  return value.toLocaleString("en-US", value < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 });
}
