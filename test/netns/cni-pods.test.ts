// The CNI plugin attaches pods of two hosts, both ways, and takes everything back. Daemons and plugins are the real ones:
//
//   a-1, a-2 ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ b-1
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { addressesOf, answers, type CniConfig, CniHost, makePod, skipBridge } from "../support/cni.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const WAYS: readonly [string, CniConfig, string | false][] = [
  ["routed", { attach: "routed" }, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true, hairpinMode: true } }, skipBridge],
];
const DUAL = JSON.stringify({
  Network: "10.244.0.0/16",
  EnableIPv6: true,
  IPv6Network: "fd00:10:244::/48",
  Backend: { Type: "udp" },
});

/** Links and routes of a host, without what changes by itself. */
function traces({ name }: Host): unknown {
  const links = ipJson(`-n ${name} link`).map(({ ifname }) => ifname);
  const routes = ipJson(`-n ${name} route`).map(({ dst, dev }) => `${dst} ${dev}`);
  return { links, routes };
}

withDaemons(t, import.meta.url, async () => {
  const hosts = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;
  for (const { name } of hosts) {
    const settings = "echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
    execFileSync("ip", ["netns", "exec", name, "sh", "-c", settings]);
  }

  for (const [way, config, skip] of WAYS) {
    t.test(
      `${way}: pods of one host and of two reach each other in both families, and nothing is left`,
      { skip },
      async (t) => {
        const place = new Place(t, DUAL);
        await place.startAll(t, hosts);
        const [a, b] = [new CniHost(place, hosts[0], config), new CniHost(place, hosts[1], config)];
        const before = hosts.map(traces);
        const pods = [
          { at: a, name: "a-1" },
          { at: a, name: "a-2" },
          { at: b, name: "b-1" },
        ];
        const added: { at: CniHost; name: string; addresses: string[]; json: Record<string, unknown> | null }[] = [];
        for (const { at, name } of pods) {
          const { status, json, stderr } = await at.call({
            verb: "ADD",
            containerId: name,
            ifName: "eth0",
            netns: makePod(name),
          });
          t.equal(status, 0, JSON.stringify(json) + stderr);
          added.push({ at, name, addresses: addressesOf(json), json });
        }
        for (const from of added) {
          for (const to of added.filter((pod) => pod !== from)) {
            t.equal(to.addresses.length, 2);
            for (const address of to.addresses)
              await until(`${from.name} reaches ${address}`, () => answers(from.name, address));
          }
          t.equal(answers(from.name, from.at.host.address), true, "the host answers its pods");
        }
        t.match(ipJson("-n a-1 link show eth0"), [{ mtu: 1472 }]);
        for (const { at, name } of pods) {
          const netns = `/run/netns/${name}`;
          const prevResult = added.find((pod) => pod.name === name)?.json;
          const call = { containerId: name, ifName: "eth0", netns };
          t.strictSame(await at.call({ verb: "CHECK", ...call }, { prevResult }), {
            status: 0,
            json: null,
            stderr: "",
          });
          t.strictSame(await at.call({ verb: "DEL", ...call }), { status: 0, json: null, stderr: "" });
          t.strictSame(
            await at.call({ verb: "DEL", ...call }),
            { status: 0, json: null, stderr: "" },
            "a second time too",
          );
          run(`ip netns delete ${name}`);
        }
        if (way === "bridge") for (const { name } of hosts) run(`ip -n ${name} link delete cni0`);
        t.strictSame(hosts.map(traces), before);
        const left = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
        t.strictSame(left(`${a.dataDir}/lab/bridged`), []);
        t.strictSame(
          left(`${a.dataDir}/host-local/lab`).filter((name) => /^[0-9]/.test(name)),
          [],
        );
        if (way === "routed")
          t.match(JSON.parse(readFileSync(`${a.dataDir}/lab/addresses.json`, "utf8")), { held: {} });
      },
    );
  }
});
