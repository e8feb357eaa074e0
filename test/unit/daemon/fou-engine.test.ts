// daemon/fou-engine: when `--engine fou` is the kernel's device, when it is the pump, and what is said of it.
import t from "tap";
import { fouObjection } from "../../../src/daemon/fou-engine.js";
import type { Kernel } from "../../../src/daemon/world.js";
import { HopsackError } from "../../../src/errors.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { Trial } from "../../support/daemon-trial.js";

const config = (more: object = {}) =>
  parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", ...more }), "the test");
const kernel = (hasIpip: boolean, hasFou: boolean): Kernel =>
  ({ hasIpip: () => hasIpip, hasFou: () => hasFou }) as unknown as Kernel;
const unasked = {
  hasIpip: () => t.fail("asked for ipip"),
  hasFou: () => t.fail("asked for FOU"),
} as unknown as Kernel;

t.test("the kernel carries the packets of udp where it has both modules and the network is IPv4", async (t) => {
  const asked = { engine: "fou", naive: false } as const;
  t.equal(fouObjection(asked, config(), kernel(true, true)), null);
  t.match(fouObjection(asked, config(), kernel(false, true)), /no ipip devices; load them with: modprobe ipip$/);
  t.match(fouObjection(asked, config(), kernel(true, false)), /no FOU; load it with: modprobe fou$/);
});

t.test("the kernel is not asked, and loads no module, where the answer does not matter", async (t) => {
  const asked = { engine: "fou", naive: false } as const;
  t.match(fouObjection({ ...asked, naive: true }, config(), unasked), /--naive/);
  t.match(fouObjection(asked, config({ Backend: { Type: "ipip" } }), unasked), /mode udp only/);
  const dual = config({ EnableIPv6: true, IPv6Network: "fd00::/48" });
  t.match(fouObjection(asked, dual, unasked), /the network has IPv6/);
  for (const engine of ["auto", "pump", "ebpf"] as const) t.ok(fouObjection({ ...asked, engine }, config(), unasked));
});

t.test("by FOU no pump is opened, and the status names engine, device and port", async (t) => {
  const trial = new Trial(t);
  trial.run("--engine", "fou");
  await trial.logged("ready");
  t.notOk(trial.deeds.some((deed) => deed.includes("pump")));
  t.match(await trial.status(), {
    device: { name: "flannel0", mtuBytes: 1472, udpPort: 8285 },
    engine: { name: "fou", reason: "asked for by --engine fou" },
    traffic: null,
    warnings: [],
  });
  t.notOk(trial.lines.some(({ event }) => event === "engine_not_used"));
});

t.test("a kernel without FOU: the pump, the reason once in the log and in the status", async (t) => {
  const trial = new Trial(t);
  trial.kernelHas.fou = false;
  trial.run("--engine", "fou");
  await trial.logged("ready");
  const reason = "this kernel has no FOU; load it with: modprobe fou";
  t.match(await trial.logged("engine_not_used"), { reason });
  t.ok(trial.deeds.includes("start pump"));
  t.match(await trial.status(), { engine: { name: "pump", reason } });
  trial.events?.onHostChange();
  trial.events?.onFault(new Error("to be planned again"));
  await trial.logged("repair_failed");
  t.equal(trial.lines.filter(({ event }) => event === "engine_not_used").length, 1);
});

t.test("somebody else's FOU port ends the start before a lease is taken", async (t) => {
  const trial = new Trial(t);
  trial.faults.fouRival = new HopsackError("PORT_TAKEN", "this host has a FOU port 8285 already");
  t.match(await trial.run("--engine", "fou"), { code: "PORT_TAKEN" });
  t.same(trial.leases.leases(), []);
});
