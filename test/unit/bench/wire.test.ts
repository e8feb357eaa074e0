// What the client of a real host makes of its own daemon's status.
import t from "tap";
import { hostAddresses, modeOf } from "../../../src/bench/wire.js";
import { initialState } from "../../../src/daemon/state.js";
import { statusReport } from "../../../src/daemon/status.js";
import { readyState } from "../../support/daemon-fixtures.js";

const kernel = statusReport(initialState({ version: "0.1.0", node: "h1", startedAt: 0, storeSpec: "file:/srv" }), 0);
const pump = statusReport(readyState(), 0);
const none = { tso: false, uso: false, udpGso: false, udpGro: false, tunGro: false };

t.test("the running mode is told by backend and by who carries the packets", async (t) => {
  const cases = [
    [{ ...pump, backend: "udp" }, "udp"],
    [{ ...pump, backend: "udp", engine: { name: "ebpf", reason: "" } }, "udp-ebpf"],
    [{ ...pump, backend: "udp", offloads: none }, "udp-naive"],
    [{ ...kernel, backend: "udp", engine: { name: "fou", reason: "" } }, "udp-fou"],
    [{ ...pump, backend: "vxlan" }, "vxlan-userspace"],
    [{ ...pump, backend: "vxlan", engine: { name: "ebpf", reason: "" } }, "vxlan-ebpf"],
    [{ ...pump, backend: "vxlan", offloads: none }, "vxlan-userspace"],
    [{ ...kernel, backend: "vxlan" }, "vxlan"],
    [{ ...kernel, backend: "host-gw" }, "host-gw"],
    [{ ...kernel, backend: "ipip" }, undefined],
  ] as const;
  for (const [report, name] of cases) t.equal(modeOf(report)?.name, name, name ?? "none");
});

t.test("a host is looked for at its bridge's address, then at its tunnel device's", async (t) => {
  t.same(hostAddresses("10.244.7.0/24"), ["10.244.7.1", "10.244.7.0"]);
  t.same(hostAddresses("10.244.7.64/26"), ["10.244.7.65", "10.244.7.64"]);
});
