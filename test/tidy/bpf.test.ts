// native/bpf/programs.inc is checked in: it must be what its source compiles to. Needs clang, which no user's host does.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

const SCRIPT = fileURLToPath(new URL("../../scripts/bpf.mjs", import.meta.url));
const hasClang = spawnSync("clang", ["--version"]).status === 0;

t.test(
  "the checked-in instructions are made from their source",
  { skip: hasClang ? false : "clang is not installed" },
  async (t) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, "--check"], { encoding: "utf8" });
    t.equal(status, 0, stderr);
    t.match(stdout, /is what accelerator\.bpf\.c compiles to|^not compared/);
  },
);
