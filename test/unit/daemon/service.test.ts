import { writeFileSync } from "node:fs";
import t from "tap";
import { loggerTo } from "../../../src/daemon/log.js";
import { pairOf, readServiceEnvironment, Service, storedName } from "../../../src/daemon/service.js";
import { HopsackError } from "../../../src/errors.js";
import { counters, readyState } from "../../support/daemon-fixtures.js";
import { Trial } from "../../support/daemon-trial.js";

const log = loggerTo({ write: () => undefined }, "fatal");
const MANAGER = { notifySocket: "@manager", watchdogMs: null, inherited: [] };
const KEPT = [
  { name: "hopsack-tun", fd: 3 },
  { name: "hopsack-udp", fd: 4 },
];

t.test("what a service manager says is read, and what it says to another process is not", async (t) => {
  const env = {
    NOTIFY_SOCKET: "/run/systemd/notify",
    WATCHDOG_USEC: "30000000",
    LISTEN_PID: "7",
    LISTEN_FDS: "2",
    LISTEN_FDNAMES: "hopsack-tun:hopsack-udp",
  };
  t.same(readServiceEnvironment(env, 7), {
    notifySocket: "/run/systemd/notify",
    watchdogMs: 30_000,
    inherited: KEPT,
  });
  t.match(readServiceEnvironment({ ...env, WATCHDOG_PID: "8" }, 8), { watchdogMs: 30_000, inherited: [] });
  t.match(readServiceEnvironment({ ...env, WATCHDOG_PID: "7" }, 8), { watchdogMs: null, inherited: [] });
  t.match(readServiceEnvironment({ LISTEN_PID: "7", LISTEN_FDS: "-1" }, 7), { notifySocket: null, inherited: [] });
  t.same(readServiceEnvironment({ LISTEN_PID: "7", LISTEN_FDS: "1" }, 7).inherited, [{ name: "", fd: 3 }]);
});

t.test("device and socket are of use together only; the rest is named", async (t) => {
  t.same(pairOf(KEPT), { pair: { tunFd: 3, socketFd: 4 }, unused: [] });
  t.same(pairOf(KEPT.slice(1)), { pair: null, unused: KEPT.slice(1) });
  const twice = { name: "hopsack-tun", fd: 5 };
  t.same(pairOf([...KEPT, twice]), { pair: { tunFd: 3, socketFd: 4 }, unused: [twice] });
  t.equal(storedName("FDSTORE=1\nFDNAME=x"), "x");
  t.equal(storedName("READY=1"), null);
});

t.test("the watchdog is fed while both packet threads move, and only then", async (t) => {
  const told: string[] = [];
  const service = new Service({ ...MANAGER, watchdogMs: 1000 }, (_to, text) => void told.push(text), log);
  const turns = { outbound_turns: 1, inbound_turns: 1 };
  const state = readyState();
  state.readCounters = () => counters(turns, {});
  const isFed = (): boolean => {
    const before = told.length;
    service.tick(state);
    return told.slice(before).includes("WATCHDOG=1");
  };
  t.ok(isFed());
  turns.outbound_turns++;
  t.notOk(isFed(), "the inbound thread stands still");
  turns.inbound_turns++;
  t.notOk(isFed(), "the outbound thread stands still");
  turns.outbound_turns++;
  turns.inbound_turns++;
  t.ok(isFed());
  state.readCounters = null;
  t.ok(isFed(), "a mode of the kernel has no packet threads");
  t.ok(isFed());
});

t.test("the status text is said when it is another one, the first warning in it", async (t) => {
  const told: string[] = [];
  const service = new Service(MANAGER, (_to, text) => void told.push(text), log);
  const state = readyState();
  service.tick(state);
  service.tick(state);
  state.warnings.set("store", "etcd is away");
  service.tick(state);
  t.same(told, ["STATUS=udp, 2 peers", "STATUS=udp, 2 peers; etcd is away"]);
});

t.test("a service manager is told of the start, of another setting and of the end", async (t) => {
  const trial = new Trial(t);
  trial.service = MANAGER;
  const ended = trial.run();
  await trial.logged("ready");
  trial.leases.configText =
    '{"Network": "10.244.0.0/16", "SubnetMax": "10.244.99.0", "Backend": {"Type": "udp", "Port": 9000}}';
  trial.configChanged();
  await trial.logged("setting_changed");
  await trial.logged("forwarding_updated");
  trial.stopping.abort("SIGTERM");
  await ended;
  const forget = ["@manager: FDSTOREREMOVE=1 FDNAME=hopsack-tun", "@manager: FDSTOREREMOVE=1 FDNAME=hopsack-udp"];
  const store = "@manager: FDSTORE=1 FDPOLL=0";
  const keep = [`${store} FDNAME=hopsack-tun 100`, `${store} FDNAME=hopsack-udp 101`];
  t.same(trial.notified, [
    ...forget,
    ...keep,
    "@manager: READY=1",
    "@manager: STATUS=udp, 0 peers",
    "@manager: RELOADING=1 MONOTONIC_USEC=…",
    ...forget,
    ...forget,
    ...keep,
    "@manager: READY=1",
    "@manager: STOPPING=1",
    ...forget,
  ]);
});

t.test("a service manager that does not listen is no reason to stop", async (t) => {
  const trial = new Trial(t);
  trial.service = MANAGER;
  trial.faults = { notify: new Error("ECONNREFUSED") };
  trial.run();
  await trial.logged("ready");
  t.match(await trial.logged("service_manager_not_told"), { reason: "ECONNREFUSED" });
});

t.test("device and socket that a service manager kept are used; what is beside them is closed", async (t) => {
  const trial = new Trial(t);
  trial.service = { ...MANAGER, inherited: [...KEPT, { name: "else", fd: 5 }] };
  trial.run();
  await trial.logged("ready");
  t.same(trial.deeds.slice(0, 3), ["check privileges", "close 5", "go on with pump"]);
});

t.test("what was kept and cannot be used is said in one sentence, and the start is a normal one", async (t) => {
  const trial = new Trial(t);
  trial.service = { ...MANAGER, inherited: KEPT };
  trial.faults = { handover: new HopsackError("HANDOVER_FAILED", "it is no UDP socket") };
  trial.run();
  await trial.logged("ready");
  t.match(await trial.logged("handover_unused"), { code: "HANDOVER_FAILED", reason: "it is no UDP socket" });
  t.ok(trial.deeds.includes("open pump"));
});

t.test("a mode of the kernel closes what was kept", async (t) => {
  const trial = new Trial(t);
  trial.service = { ...MANAGER, inherited: KEPT };
  trial.run("--backend", "host-gw");
  await trial.logged("ready");
  t.ok(trial.deeds.includes("close 3 4"));
  t.ok(trial.notified.includes("@manager: FDSTOREREMOVE=1 FDNAME=hopsack-tun"));
});

t.test("a restart leaves lease, plan and what the service manager keeps", async (t) => {
  const trial = new Trial(t);
  trial.service = MANAGER;
  const ended = trial.run();
  await trial.logged("ready");
  const told = trial.notified.length;
  trial.stopping.abort("SIGUSR2");
  t.equal(await ended, "stopped");
  t.same(trial.deeds.slice(-3), ["end engine", "leave plan", "stop pump"]);
  t.equal(trial.leases.leases().length, 1);
  t.same(trial.notified.slice(told), ["@manager: STOPPING=1"]);
});

t.test("a daemon that takes over goes on with what it is given, and the other one leaves it in force", async (t) => {
  const trial = new Trial(t);
  const old = new Trial(t);
  const oldEnded = old.run();
  await old.logged("ready");
  trial.letters.push(
    { text: "FDSTORE=1\nFDNAME=hopsack-tun", fds: [7] },
    { text: "FDSTORE=1\nFDNAME=hopsack-udp", fds: [8] },
    { text: "X_HOPSACK_BEGIN=1", fds: [] },
    { text: "STOPPING=1", fds: [] },
  );
  writeFileSync(`${old.socket}.next`, "left by a killed run");
  trial.run("--takeover", old.socket);
  await trial.logged("ready");
  t.equal(await oldEnded, "stopped");
  t.ok(trial.deeds.includes("go on with pump"));
  t.same(old.deeds.slice(-3), ["end engine", "leave plan", "stop pump"]);
  t.same(
    old.notified.map((text) => text.replace(/^\S*\/hopsackd\.sock/, "…")),
    [
      "….next: STATUS=handing over",
      "….next: FDSTORE=1 FDPOLL=0 FDNAME=hopsack-tun 100",
      "….next: FDSTORE=1 FDPOLL=0 FDNAME=hopsack-udp 101",
      "….next: X_HOPSACK_BEGIN=1",
      "….next: STOPPING=1",
    ],
  );
  t.match(await trial.status(), { state: "ready" });
});
