// Many pods on two hosts, attached one after another: all are reached from the other host, what each call takes is printed (process
// start included), and nothing is left. HOPSACK_TEST_PODS=200 makes the crowd of the printed figures:
//
//   a-1 … a-n ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ b-1 … b-n
import t, { type Test } from "tap";
import { addressesOf, answers, type CniConfig, CniHost, makePod, records, skipBridge } from "../support/cni.js";
import { makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const PODS_PER_HOST = Math.ceil(Number(process.env.HOPSACK_TEST_PODS ?? 16) / 2);
const WAYS: readonly [string, CniConfig, string | false][] = [
  ["routed", { attach: "routed" }, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true, ipMasq: false } }, skipBridge],
];

interface Pod {
  readonly at: CniHost;
  readonly name: string;
  readonly call: { readonly containerId: string; readonly ifName: string; readonly netns: string };
}

function makePods(t: Test, at: CniHost): Pod[] {
  return Array.from({ length: PODS_PER_HOST }, (_, index) => {
    const name = `${at.host.name}-${index + 1}`;
    const call = { containerId: name, ifName: "eth0", netns: makePod(name) };
    t.teardown(() => run(`ip netns delete ${name}`));
    return { at, name, call };
  });
}

/** Calls the plugin for one pod after the other; the addresses in the results. */
async function callAll(t: Test, verb: "ADD" | "DEL", pods: readonly Pod[]): Promise<string[]> {
  const addresses: string[] = [];
  const times: number[] = [];
  for (const { at, call } of pods) {
    const begin = performance.now();
    const { status, json, stderr } = await at.call({ verb, ...call });
    times.push(performance.now() - begin);
    if (status !== 0) t.fail(`${verb} ${call.containerId}: ${JSON.stringify(json)} ${stderr}`);
    addresses.push(...addressesOf(json));
  }
  times.sort((one, other) => one - other);
  const quantile = (part: number) => `${times[Math.floor(part * (times.length - 1))]?.toFixed(0)} ms`;
  t.comment(`${pods.length} times ${verb}: p50 ${quantile(0.5)}, p95 ${quantile(0.95)}, longest ${quantile(1)}`);
  return addresses;
}

withDaemons(t, import.meta.url, async () => {
  const hosts = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;

  for (const [way, config, skip] of WAYS) {
    t.test(
      `${way}: each of ${2 * PODS_PER_HOST} pods reaches the other host's, and nothing is left`,
      { skip },
      async (t) => {
        const place = new Place(t);
        await place.startAll(t, hosts);
        const [a, b] = [new CniHost(place, hosts[0], config), new CniHost(place, hosts[1], config)];
        const before = hosts.map(networkState);
        const [here, there] = [makePods(t, a), makePods(t, b)];
        const pods = here.flatMap((pod, index) => [pod, there[index]]).filter((pod) => pod !== undefined);
        const addresses = await callAll(t, "ADD", pods);
        t.equal(new Set(addresses).size, pods.length, "an address each");
        for (const [index, { name }] of pods.entries()) {
          const far = addresses[index ^ 1] ?? ""; // the pod of the other host that was made beside it
          await until(`${name} reaches ${far}`, () => answers(name, far));
        }
        await callAll(t, "DEL", here);
        t.strictSame(records(a), []);
        const begin = performance.now();
        t.match(await b.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] }), { status: 0, json: null });
        t.comment(`GC of ${there.length} pods: ${(performance.now() - begin).toFixed(0)} ms`);
        t.strictSame(records(b), []);
        for (const { name } of pods) t.equal(ipJson(`-n ${name} link show`).length, 1, `only lo is left in ${name}`);
        if (way === "bridge") for (const { name } of hosts) run(`ip -n ${name} link delete cni0`);
        t.strictSame(hosts.map(networkState), before);
      },
    );
  }
});
