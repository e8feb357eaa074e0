// What goes wrong around the CNI plugin: plugins that are killed, many at once, a daemon that is away, a lease that changes, files
// that are damaged. One host with a real daemon; nothing may be left, and no address given twice.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
  addressesOf,
  answers,
  type CniConfig,
  CniHost,
  DEBIAN_PLUGINS,
  makePod,
  records,
  skipBridge,
} from "../support/cni.js";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const ROUTED = { attach: "routed" };
const WAYS: readonly [string, CniConfig, string | false][] = [
  ["routed", ROUTED, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true } }, skipBridge],
];
const KILLS = 12;
let pods = 0;

/** A new pod's name and the call that attaches it. */
function newPod(t: Test) {
  const name = `pod${++pods}`;
  const netns = makePod(name);
  t.teardown(() => run(`ip netns delete ${name}`));
  return { verb: "ADD", containerId: name, ifName: "eth0", netns };
}

/** The host's ends of pods' cables. */
function cables(): unknown[] {
  return ipJson("-n h link")
    .map(({ ifname }) => ifname)
    .filter((name) => /^(hsk|cali|veth)/.test(String(name)));
}

/** A new link carries packets a moment after it is up. */
function reaches(pod: string, address: string): Promise<void> {
  return until(`${pod} reaches ${address}`, () => answers(pod, address));
}

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("h", "192.0.2.1");

  async function start(t: Test, config: CniConfig = ROUTED) {
    const place = new Place(t);
    const [daemon] = await place.startAll(t, [host]);
    return { place, daemon, cni: new CniHost(place, host, config) };
  }

  for (const [way, config, skip] of WAYS) {
    t.test(`${way}: thirty pods at once get thirty addresses, and go at once`, { skip }, async (t) => {
      const { cni } = await start(t, config);
      const calls = Array.from({ length: 30 }, () => newPod(t));
      const added = await Promise.all(calls.map((call) => cni.call(call)));
      t.strictSame(
        added.filter(({ status }) => status !== 0),
        [],
      );
      t.equal(new Set(added.flatMap(({ json }) => addressesOf(json))).size, 30);
      const removed = await Promise.all(calls.map((call) => cni.call({ ...call, verb: "DEL" })));
      t.strictSame(
        removed.filter(({ status }) => status !== 0),
        [],
      );
      t.strictSame([cables(), records(cni)], [[], []]);
    });

    t.test(`${way}: of two ADDs for one container one is refused, and does the other no harm`, { skip }, async (t) => {
      const { cni } = await start(t, config);
      const call = newPod(t);
      const both = await Promise.all([cni.call(call), cni.call(call)]);
      t.strictSame(both.map(({ status }) => status).sort(), [0, 1]);
      t.match(both.find(({ status }) => status === 1)?.json, { code: 102, msg: /attached already; DEL it/ });
      await reaches(call.containerId, host.address);
      t.equal((await cni.call({ ...call, verb: "DEL" })).status, 0);
    });

    t.test(`${way}: whatever a killed plugin leaves is collected, and what is valid stays`, { skip }, async (t) => {
      const { cni } = await start(t, config);
      const keeper = newPod(t);
      const begin = performance.now();
      const kept = await cni.call(keeper);
      const stepMs = (performance.now() - begin) / KILLS; // from the first step to beyond the last
      const calls = Array.from({ length: KILLS }, () => newPod(t));
      const outcomes: (number | null)[] = [];
      for (const [index, call] of calls.entries()) {
        const onStart = (pid: number) => void setTimeout(() => killIfThere(pid), (index + 1) * stepMs);
        const { status } = await cni.call({ ...call, onStart });
        outcomes.push(status);
        if (status === 0) await cni.call({ ...call, verb: "DEL", onStart });
      }
      t.comment(`killed: ${outcomes.filter((status) => status === null).length} of ${outcomes.length} ADDs`);
      t.ok(outcomes.includes(null));
      // A plugin that a killed one had called goes on without it.
      await until("what they called has ended", () => !run("ps -eo args").includes(`${DEBIAN_PLUGINS}/`));
      const valid = { "cni.dev/valid-attachments": [{ containerID: keeper.containerId, ifname: "eth0" }] };
      t.match(await cni.call({ verb: "GC" }, valid), { status: 0, json: null });
      t.equal(cables().length, 1);
      t.equal(records(cni).length, way === "bridge" ? 2 : 1, "the record of the one that is valid");
      await reaches(keeper.containerId, host.address);
      t.match(await cni.call({ ...keeper, verb: "CHECK" }, { prevResult: kept.json }), { status: 0 });
      t.match(await cni.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] }), { status: 0 });
      t.strictSame([cables(), records(cni)], [[], []]);
    });
  }

  t.test("a taken interface name and a namespace that is not there are refused, and nothing is left", async (t) => {
    const { cni } = await start(t);
    const call = newPod(t);
    run(`ip -n ${call.containerId} link add eth0 type bridge`);
    t.match(await cni.call(call), {
      status: 1,
      json: { code: 102, msg: /^the container has an interface eth0 already/ },
    });
    t.equal(ipJson(`-n ${call.containerId} link show eth0`).length, 1, "the other's interface stays");
    const nowhere = { ...call, containerId: "gone", netns: "/run/netns/gone" };
    t.match(await cni.call(nowhere), {
      status: 1,
      json: { code: 3, msg: "the network namespace /run/netns/gone is not there" },
    });
    t.match(await cni.call({ ...nowhere, netns: "/proc/self/ns/uts" }), { status: 1, json: { code: 4 } });
    t.match(await cni.call({ ...nowhere, verb: "DEL" }), { status: 0, json: null });
    t.match(await cni.call({ verb: "DEL", containerId: "gone", ifName: "eth0" }), { status: 0, json: null });
    t.strictSame([cables(), records(cni)], [[], []]);
  });

  t.test("a pod whose namespace is gone is taken back by DEL", async (t) => {
    const { cni } = await start(t);
    const netns = makePod("shortlived");
    const call = { containerId: "shortlived", ifName: "eth0", netns };
    t.equal((await cni.call({ verb: "ADD", ...call })).status, 0);
    run("ip netns delete shortlived");
    t.match(await cni.call({ verb: "DEL", ...call }), { status: 0 });
    t.strictSame([cables(), records(cni)], [[], []]);
  });

  t.test("without the daemon STATUS says 50 and ADD says 11; pods go all the same", async (t) => {
    const { cni, daemon } = await start(t);
    t.match(await cni.call({ verb: "STATUS" }), { status: 0, json: null });
    const call = newPod(t);
    await cni.call(call);
    await daemon?.stop();
    t.match(await cni.call({ verb: "STATUS" }), { status: 1, json: { code: 50, msg: /^no hopsackd answers on / } });
    t.match(await cni.call(newPod(t)), { status: 1, json: { code: 11, msg: /^no hopsackd answers on / } });
    t.match(await cni.call({ ...call, verb: "DEL" }), { status: 0 });
    t.strictSame([cables(), records(cni)], [[], []]);
  });

  t.test(
    "when the lease changed, CHECK says so, the old pod works on, and a new one is in the new subnet",
    async (t) => {
      const { cni, place } = await start(t);
      const [old, young] = [newPod(t), newPod(t)];
      const { json } = await cni.call(old);
      t.strictSame(addressesOf(json), ["10.244.1.2"]);
      const subnetFile = join(place.folder, "moved.env");
      writeFileSync(subnetFile, readFileSync(place.subnetFile(host), "utf8").replace("10.244.1.1/24", "10.244.9.1/24"));
      const moved = { subnetFile };
      const changed = await cni.call({ ...old, verb: "CHECK" }, { ...moved, prevResult: json });
      t.match(changed.json, {
        code: 107,
        msg: /^the lease of this host is 10\.244\.9\.0\/24 now, and the container has 10\.244\.1\.2/,
      });
      t.strictSame(addressesOf((await cni.call(young, moved)).json), ["10.244.9.2"]);
      await reaches(old.containerId, "10.244.9.2");
      for (const call of [old, young]) t.equal((await cni.call({ ...call, verb: "DEL" }, moved)).status, 0);
      t.strictSame([cables(), records(cni)], [[], []]);
    },
  );

  t.test("CHECK names what was taken away", async (t) => {
    const { cni } = await start(t);
    const call = newPod(t);
    const { json: prevResult } = await cni.call(call);
    const check = async () => (await cni.call({ ...call, verb: "CHECK" }, { prevResult })).json;
    t.equal(await check(), null);
    const pod = `-n ${call.containerId}`;
    const damages: readonly [string, RegExp][] = [
      [`ip ${pod} route delete default`, /there is no route 0\.0\.0\.0\/0 via 169\.254\.1\.1 dev eth0/],
      ["ip -n h route delete 10.244.1.2/32", /there is no route 10\.244\.1\.2\/32 dev hsk[0-9a-f]{12}/],
      [`ip ${pod} address delete 10.244.1.2/32 dev eth0`, /eth0 has no address 10\.244\.1\.2\/32/],
      [`ip ${pod} link set eth0 name other`, /the container has no interface eth0/],
    ];
    for (const [damage, words] of damages) {
      run(damage);
      t.match(await check(), { code: 106, msg: words }, damage);
    }
    t.match((await cni.call({ ...call, verb: "CHECK" })).json, { code: 7, msg: /^prevResult is missing/ });
    t.equal((await cni.call({ ...call, verb: "DEL" })).status, 0);
    t.match(await check(), { code: 106, msg: /has no address reserved/ });
  });

  t.test("the host's ends have the prefix that is asked for, and are found when it was another one", async (t) => {
    const { cni } = await start(t, { ...ROUTED, interfacePrefix: "cali" });
    const call = newPod(t);
    const { json: prevResult } = await cni.call(call);
    t.match(cables(), [/^cali[0-9a-f]{11}$/]);
    t.match(run("ip -n h route"), /^10\.244\.1\.2 dev cali[0-9a-f]{11} /m);
    const another = { interfacePrefix: "hsk" };
    t.equal((await cni.call({ ...call, verb: "CHECK" }, { ...another, prevResult })).status, 0);
    t.equal((await cni.call({ ...call, verb: "DEL" }, another)).status, 0);
    t.strictSame([cables(), records(cni)], [[], []]);
    for (const interfacePrefix of ["", "Cali", "4x", "toolong", 7]) {
      const { json } = await cni.call(newPod(t), { interfacePrefix });
      t.match(json, { code: 7, msg: /^interfacePrefix .* e\.g\. cali/ }, JSON.stringify(interfacePrefix));
    }
  });

  t.test("a full subnet is said, an address rests before it is used again, and the oldest comes first", async (t) => {
    const { cni, place } = await start(t, { ...ROUTED, coolDownSeconds: 600 });
    const subnetFile = join(place.folder, "small.env");
    writeFileSync(subnetFile, readFileSync(place.subnetFile(host), "utf8").replace("/24", "/29"));
    const calls = Array.from({ length: 5 }, () => newPod(t));
    for (const call of calls) t.equal((await cni.call(call, { subnetFile })).status, 0);
    const full = await cni.call(newPod(t), { subnetFile });
    t.match(full.json, { code: 101, msg: /^every address of the lease 10\.244\.1\.0\/29 belongs to a pod; / });
    t.match(await cni.call({ verb: "STATUS" }, { subnetFile }), { status: 1, json: { code: 50 } });
    for (const index of [3, 1]) await cni.call({ ...(calls[index] ?? { verb: "" }), verb: "DEL" }, { subnetFile });
    const resting = await cni.call(newPod(t), { subnetFile });
    t.match(resting.json, { code: 11, msg: /were released a moment ago; the first can be used in (600|59[0-9]) s/ });
    const again = await cni.call(newPod(t), { subnetFile, coolDownSeconds: 0 });
    t.strictSame(addressesOf(again.json), ["10.244.1.5"], "the one that was released first");
    await cni.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] });
    t.strictSame(cables(), []);
  });

  t.test("a damaged address file is set aside, and running pods keep their addresses", async (t) => {
    const { cni } = await start(t);
    const [first, second] = [newPod(t), newPod(t)];
    await cni.call(first);
    const file = join(cni.dataDir, "lab/addresses.json");
    for (const text of ['{"held": {"pod', '{"held": {"x": 1}, "released": []}', ""]) {
      writeFileSync(file, text);
      const { status, json, stderr } = await cni.call(second);
      t.equal(status, 0, JSON.stringify(json));
      t.strictSame(addressesOf(json), ["10.244.1.3"]);
      t.match(stderr, /addresses\.json is damaged; it is now /);
      t.equal((await cni.call({ ...second, verb: "DEL" })).status, 0);
      t.strictSame(records(cni), [`${first.containerId}:eth0`]);
    }
    rmSync(file);
    t.strictSame(addressesOf((await cni.call(second)).json), ["10.244.1.3"], "a lost one is no different");
    for (const call of [first, second]) await cni.call({ ...call, verb: "DEL" });
    t.strictSame([cables(), records(cni)], [[], []]);
  });

  t.test("a wanted address is given, by CNI_ARGS and by capability, or refused with the reason", async (t) => {
    const { cni } = await start(t);
    const [first, second] = [newPod(t), newPod(t)];
    t.strictSame(addressesOf((await cni.call({ ...first, args: "IgnoreUnknown=1;IP=10.244.1.77" })).json), [
      "10.244.1.77",
    ]);
    const wanting = (ip: string) => cni.call(second, { runtimeConfig: { ips: [ip] } });
    t.match((await wanting("10.244.1.77/24")).json, {
      code: 7,
      msg: /10\.244\.1\.77 that was asked for belongs to another pod/,
    });
    t.match((await wanting("10.244.2.1")).json, { code: 7, msg: /is not one of the lease 10\.244\.1\.0\/24/ });
    t.match((await wanting("10.244.1.1")).json, { code: 7, msg: /is not for a pod/ });
    t.strictSame(addressesOf((await wanting("10.244.1.78")).json), ["10.244.1.78"]);
    for (const call of [first, second]) await cni.call({ ...call, verb: "DEL" });
  });

  t.test(
    "the failure of the plugin that does the work is told in its words, and nothing is left",
    { skip: skipBridge },
    async (t) => {
      const { cni } = await start(t, { attach: "bridge" });
      const call = newPod(t);
      const both = { delegate: { vlan: 7, hairpinMode: true, promiscMode: true } };
      t.match(await cni.call(call, both), { status: 1, json: { msg: /^the plugin bridge failed: .*hairpin/ } });
      const missing = await cni.call(call, { delegate: { type: "no-such-plugin" } });
      t.match(missing.json, {
        code: 105,
        msg: new RegExp(`^the plugin no-such-plugin is not in CNI_PATH .*${DEBIAN_PLUGINS}`),
      });
      t.match(await cni.call({ verb: "STATUS" }, { delegate: { type: "no-such-plugin" } }), { json: { code: 50 } });
      t.strictSame(records(cni), []);
      mkdirSync(join(cni.dataDir, "lab/bridged"), { recursive: true });
      writeFileSync(join(cni.dataDir, "lab/bridged", `${call.containerId}:eth0.json`), "{");
      t.match(await cni.call({ ...call, verb: "DEL" }), { status: 0, stderr: /is damaged/ });
      t.strictSame(records(cni), []);
    },
  );
});

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it was faster
  }
}
