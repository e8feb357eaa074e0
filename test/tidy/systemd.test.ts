// The systemd unit as systemd-analyze judges it; needs no running systemd, and starts none.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../../systemd");
const UNIT = join(FOLDER, "hopsackd.service");
const README = join(FOLDER, "README.md");
/** systemd-analyze's exposure: 0 is best, 10 worst. */
const EXPOSURE_LIMIT = 2.5;

function analyze(...words: readonly string[]): { readonly status: number | null; readonly output: string } {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-unit-"));
  try {
    const unit = join(folder, "hopsackd.service");
    copyFileSync(UNIT, unit);
    const { status, stdout, stderr } = spawnSync("systemd-analyze", [...words, unit], { encoding: "utf8" });
    return { status, output: `${stdout}${stderr}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const skip = spawnSync("systemd-analyze", ["--version"]).status === 0 ? false : "systemd-analyze is not installed";

t.test("systemd finds nothing wrong in the unit", { skip }, async (t) => {
  t.same(analyze("verify", "--man=no"), { status: 0, output: "" });
});

t.test("the unit is shut in as far as the daemon's work allows", { skip }, async (t) => {
  const { output } = analyze("security", "--offline=true", "--no-pager");
  const [sentence = "", exposure] = /Overall exposure level.*: ([0-9.]+).*/.exec(output) ?? [];
  t.comment(sentence);
  t.ok(Number(exposure) <= EXPOSURE_LIMIT, output);
  const marked = new Set([...output.matchAll(/^✗ ([A-Za-z]+)=/gm)].map(([, setting = ""]) => setting));
  const explained = [...readFileSync(README, "utf8").matchAll(/^\| `([A-Za-z]+)` +\|/gm)].map(
    ([, setting = ""]) => setting,
  );
  t.strictSame([...marked].sort(), explained.sort(), "the README explains each setting that is marked, and no other");
});

t.test("systemd is told in the unit what the daemon relies on", async (t) => {
  const lines = readFileSync(UNIT, "utf8").split("\n");
  const relied = ["Type=notify", "KillMode=mixed", "RestartKillSignal=SIGUSR2", "DeviceAllow=/dev/net/tun rw"];
  for (const line of [...relied, "StartLimitIntervalSec=0", "RestartPreventExitStatus=2"]) {
    t.ok(lines.includes(line), line);
  }
  t.match(readFileSync(UNIT, "utf8"), /^FileDescriptorStoreMax=[2-9]$/m);
});
