// flannel's conflist, as kube-flannel.yml has it, with nothing but the type changed. flannel's own CNI plugin is in no package of
// Debian's; what it would read is compared with its rules.
import { readFileSync } from "node:fs";
import t from "tap";
import { addressesOf, answers, CniHost, makePod, skipBridge } from "../support/cni.js";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const FLANNEL = { name: "cbr0", cniVersion: "0.3.1", delegate: { hairpinMode: true, isDefaultGateway: true } };
const PORTMAP = { name: "cbr0", cniVersion: "0.3.1", type: "portmap", capabilities: { portMappings: true } };

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("h", "192.0.2.1");

  t.test("flannel's conflist attaches a pod, portmap after it", { skip: skipBridge }, async (t) => {
    const place = new Place(t);
    await place.startAll(t, [host]);
    const cni = new CniHost(place, host, FLANNEL);
    const call = { containerId: "pod", ifName: "eth0", netns: makePod("pod") };
    const { status, json } = await cni.call({ ...call, verb: "ADD" });
    t.equal(status, 0, JSON.stringify(json));
    t.match(json, { cniVersion: "0.3.1", ips: [{ version: "4", address: "10.244.1.2/24", gateway: "10.244.1.1" }] });
    const chained = await cni.call({ ...call, verb: "ADD" }, { ...PORTMAP, prevResult: json });
    t.strictSame(addressesOf(chained.json), ["10.244.1.2"], "the next plugin of the chain takes our result");
    await until("the pod reaches its host", () => answers("pod", host.address));
    const ports = ipJson("-n h -d link show master cni0");
    t.match(ports, [{ linkinfo: { info_slave_data: { hairpin: true } } }]);
    t.equal((await cni.call({ ...call, verb: "DEL" })).status, 0);
    t.strictSame(ipJson("-n h link show master cni0"), []);
    run("ip netns delete pod");
  });

  t.test("flannel's CNI plugin (not to be had here) would find every key it asks subnet.env for", async (t) => {
    const place = new Place(t);
    await place.startAll(t, [host]);
    const lines = readFileSync(place.subnetFile(host), "utf8").trimEnd().split("\n");
    const words = new Map(lines.map((line) => line.split("=") as [string, string]));
    t.equal(words.get("FLANNEL_NETWORK"), "10.244.0.0/16");
    t.equal(words.get("FLANNEL_SUBNET"), "10.244.1.1/24", "the bridge's address, not the subnet's base");
    t.match(words.get("FLANNEL_MTU"), /^[0-9]+$/);
    t.match(words.get("FLANNEL_IPMASQ"), /^(true|false)$/);
    t.equal(words.size, 4);
  });
});
