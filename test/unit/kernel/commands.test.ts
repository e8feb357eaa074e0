// kernel/commands: real shells that write into a folder what they were told.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { HopsackError } from "../../../src/errors.js";
import { CommandRunner } from "../../../src/kernel/commands.js";
import type { CommandPair, ShellCommand } from "../../../src/plan/plan.js";

const LIMIT_MS = 20_000;
/** For one that hangs; a shell that does its work is over by then, however slow the machine. */
const SHORT_LIMIT_MS = 3000;
/** Less than anything here would take if it were waited for. */
const PATIENCE_MS = 30_000;

function command(name: string, line: string, input = ""): ShellCommand {
  return { name, line, environment: { SUBNET: "10.244.2.0/24" }, input };
}

/** Writes `<key> comes` and `<key> goes`. */
function pair(key: string, folder: string, data = ""): CommandPair {
  return {
    key,
    enter: command("SubnetAddCommand", `read -r d; echo "${key} comes $SUBNET $d" >>${folder}/deeds`, data),
    leave: command("SubnetRemoveCommand", `echo "${key} goes" >>${folder}/deeds`),
  };
}

function trial(t: Test, limitMs = LIMIT_MS) {
  const folder = t.testdir({});
  const errors: HopsackError[] = [];
  const runner = new CommandRunner((error) => errors.push(error), limitMs);
  t.teardown(() => runner.close());
  const path = join(folder, "deeds");
  const deeds = (): string[] => (existsSync(path) ? readFileSync(path, "utf8").trim().split(/ *\n/) : []);
  return { folder, runner, errors, deeds };
}

t.test(
  "runs what changed between two plans, the host before its peers, and all of it backwards at the end",
  async (t) => {
    const { folder, runner, errors, deeds } = trial(t);
    const host = pair("host", folder);
    t.ok(await runner.follow({ host, peers: [pair("a", folder, "x\n")] }));
    t.same(deeds(), ["host comes 10.244.2.0/24", "a comes 10.244.2.0/24 x"]);
    t.notOk(await runner.follow({ host, peers: [pair("a", folder, "x\n")] }), "nothing changed");
    await runner.follow({ host, peers: [pair("a", folder, "y\n"), pair("b", folder)] });
    t.same(deeds()[2], "a goes", "a peer that changed goes and comes");
    t.same(deeds().slice(3).sort(), ["a comes 10.244.2.0/24 y", "b comes 10.244.2.0/24"]);
    await runner.follow({ host, peers: [pair("b", folder)] });
    await runner.close();
    t.same(deeds().slice(5), ["a goes", "b goes", "host goes"]);
    await runner.close();
    t.equal(deeds().length, 8, "only once");
    t.same(errors, []);
  },
);

t.test("a command that fails or hangs is reported, and the others run", async (t) => {
  const { folder, runner, errors, deeds } = trial(t, SHORT_LIMIT_MS);
  const failing = {
    key: "a",
    enter: command("SubnetAddCommand", "echo useless; echo no such thing >&2; exit 3"),
    leave: null,
  };
  const hanging = {
    key: "b",
    enter: command("SubnetAddCommand", `sleep 60; echo late >>${folder}/deeds`),
    leave: null,
  };
  const startedAt = performance.now();
  await runner.follow({ host: pair("host", folder), peers: [failing, hanging, pair("c", folder)] });
  t.ok(performance.now() - startedAt < PATIENCE_MS);
  t.same(
    deeds().map((deed) => deed.split(" ")[0]),
    ["host", "c"],
  );
  t.same(errors.map(({ code, message }) => [code, message]).sort(), [
    [
      "TOOL_FAILED",
      "SubnetAddCommand for a failed: no such thing; correct it in the network configuration, or what it needs on this host",
    ],
    [
      "TOOL_FAILED",
      `SubnetAddCommand for b failed: not done within ${SHORT_LIMIT_MS} ms; correct it in the network configuration, or what it needs on this host`,
    ],
  ]);
  t.equal(runner.failures.length, 2);
  await runner.follow({ host: pair("host", folder), peers: [pair("c", folder)] });
  t.same(runner.failures, [], "who is gone is no trouble any more");
});

t.test(
  "the first command's output is given back, also when it leaves a child behind; empty when it fails",
  async (t) => {
    const { runner, errors } = trial(t);
    const startedAt = performance.now();
    t.equal(await runner.start(command("PreStartupCommand", "echo mac; sleep 60 &")), "mac\n");
    t.ok(performance.now() - startedAt < PATIENCE_MS);
    t.equal(await runner.start(command("PreStartupCommand", "echo mac; exit 1")), "");
    t.match(errors, [{ message: /^PreStartupCommand failed: ended by exit status 1;/ }]);
  },
);

t.test("close() cuts short what still runs", async (t) => {
  const { folder, runner, errors } = trial(t, 60_000);
  const hanging = { key: "b", enter: command("SubnetAddCommand", "sleep 60"), leave: null };
  const following = runner.follow({ host: pair("host", folder), peers: [hanging] });
  await runner.close();
  await following;
  t.ok(errors.length <= 2);
});

t.test("hopsackd's own settings are not handed on", async (t) => {
  process.env.HOPSACKD_ETCD_PASSWORD = "secret";
  const { runner } = trial(t);
  t.equal(await runner.start(command("PreStartupCommand", 'echo "$HOPSACKD_ETCD_PASSWORD$SUBNET"')), "10.244.2.0/24\n");
  delete process.env.HOPSACKD_ETCD_PASSWORD;
});
