// The netavark plugin on two hosts, driven as netavark drives it (plugin-API.md 1.0.0: a command, a path, JSON on standard input):
// Debian 12's netavark 1.4 knows no plugins, so no Podman takes part.
//
//   first, cni-pod ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ second
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { addressesOf, answers, type CniConfig, CniHost, makePod, records, skipBridge } from "../support/cni.js";
import { makeHost, networkState, TOOL, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const PLUGIN = TOOL.replace("main.js", "hopsack-netavark.js");
const WAYS: readonly [string, CniConfig, string | false][] = [
  ["routed", { attach: "routed" }, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true, ipMasq: false } }, skipBridge],
];
/** As Podman fills it in for `podman network create --driver hopsack overlay`. */
const NETWORK = {
  name: "overlay",
  id: "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
  driver: "hopsack",
  ipv6_enabled: false,
  internal: false,
  dns_enabled: false,
  ipam_options: { driver: "host-local" },
};

interface Answer {
  readonly status: number | null;
  /** null: nothing was printed. */
  readonly json: ReturnType<typeof JSON.parse>;
}

function callPlugin(host: string, words: readonly string[], input: object | string): Answer {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const text = typeof input === "string" ? input : JSON.stringify(input);
  const argv = [`--net=/run/netns/${host}`, PLUGIN, ...words];
  const { status, stdout } = spawnSync("nsenter", argv, { encoding: "utf8", env, input: text });
  return { status, json: stdout === "" ? null : JSON.parse(stdout) };
}

/** Podman's network on one host: what `create` answered, and containers in it. */
class Overlay {
  readonly cni: CniHost;
  readonly network: object;

  constructor(cni: CniHost) {
    const file = join(cni.dataDir, "../lab.conf");
    writeFileSync(file, JSON.stringify(cni.config));
    this.cni = cni;
    this.network = callPlugin(cni.host.name, ["create"], { ...NETWORK, options: { config: file } }).json;
  }

  exec(verb: "setup" | "teardown", container: string, options: object = {}, more: object = {}): Answer {
    const network_options = { aliases: [container], interface_name: "eth0", ...options };
    const containerId = container.padEnd(64, "0");
    const input = { container_id: containerId, container_name: container, network: this.network, network_options };
    return callPlugin(this.cni.host.name, [verb, `/run/netns/${container}`], { ...input, ...more });
  }
}

function addressIn({ json }: Answer): string {
  return String(json.interfaces.eth0.subnets[0].ipnet).replace(/\/.*/, "");
}

withDaemons(t, import.meta.url, async () => {
  const hosts = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;

  async function start(t: Test, config: CniConfig): Promise<readonly [Overlay, Overlay]> {
    const place = new Place(t);
    await place.startAll(t, hosts);
    return [new Overlay(new CniHost(place, hosts[0], config)), new Overlay(new CniHost(place, hosts[1], config))];
  }

  function newContainer(t: Test, name: string): string {
    t.teardown(() => run(`ip netns delete ${name}`));
    return makePod(name);
  }

  for (const [way, config, skip] of WAYS) {
    t.test(
      `driven as by netavark, ${way}: containers of two hosts reach each other, and go without a trace`,
      { skip },
      async (t) => {
        const [a, b] = await start(t, config);
        const before = hosts.map(networkState);
        for (const name of ["first", "second"]) newContainer(t, name);
        const pod = { containerId: "pod", ifName: "eth0", netns: newContainer(t, "cni-pod") };
        const beside = await a.cni.call({ verb: "ADD", ...pod });
        const first = a.exec("setup", "first");
        const second = b.exec("setup", "second", { static_ips: ["10.244.2.77"], static_mac: "aa:bb:cc:dd:aa:00" });
        const length = way === "routed" ? 32 : 24;
        t.strictSame(second.json, {
          dns_search_domains: [],
          dns_server_ips: [],
          interfaces: {
            eth0: {
              mac_address: "aa:bb:cc:dd:aa:00",
              subnets: [{ ipnet: `10.244.2.77/${length}`, gateway: way === "routed" ? "169.254.1.1" : "10.244.2.1" }],
            },
          },
        });
        t.equal(ipJson("-n second link show eth0")[0]?.address, "aa:bb:cc:dd:aa:00");
        t.equal(addressIn(first), "10.244.1.3", "the one after the pod's");
        await until("first reaches second", () => answers("first", "10.244.2.77"));
        await until("second reaches first", () => answers("second", addressIn(first)));
        await until("first reaches the pod beside it", () => answers("first", addressesOf(beside.json)[0] ?? ""));

        t.match(await a.cni.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] }), { status: 0 });
        t.equal(answers("first", "10.244.2.77"), true, "a CNI runtime's GC takes its own pods only");
        t.strictSame(a.exec("teardown", "first"), { status: 0, json: null });
        t.strictSame(a.exec("teardown", "first"), { status: 0, json: null }, "a second time too");
        t.strictSame(b.exec("teardown", "second"), { status: 0, json: null });
        t.strictSame([...records(a.cni), ...records(b.cni)], []);
        if (way === "bridge") for (const { name } of hosts) run(`ip -n ${name} link delete cni0`);
        t.strictSame(hosts.map(networkState), before);
      },
    );
  }

  t.test("driven as by netavark: what cannot be is an error in netavark's form, and nothing is left", async (t) => {
    const [a] = await start(t, { attach: "routed" });
    newContainer(t, "first");
    const create = (more: object) => callPlugin("a", ["create"], { ...NETWORK, ...more });
    const refusals: readonly [Answer, RegExp][] = [
      [
        create({ subnets: [{ subnet: "10.0.0.0/16" }] }),
        /^--subnet .*10\.0\.0\.0\/16.* is not accepted: every host has a subnet/,
      ],
      [create({ ipam_options: { driver: "dhcp" } }), /^--ipam-driver "dhcp" is not accepted/],
      [create({ internal: true }), /^--internal true is not accepted/],
      [create({ options: { colour: "red" } }), /^-o "colour" is not accepted: the only option is config=FILE/],
      [create({ options: { config: "lab.conf" } }), /^-o config "lab\.conf" is not accepted: give an absolute path/],
      [
        a.exec("setup", "first", {}, { port_mappings: [{ container_port: 80, host_port: 8080 }] }),
        /^--publish 8080 is not accepted/,
      ],
      [
        a.exec("setup", "first", { static_ips: ["10.9.9.9"] }),
        /10\.9\.9\.9 that was asked for is not one of the lease/,
      ],
      [a.exec("setup", "first", { static_mac: "zz" }), /runtimeConfig\.mac .* "zz"; give six bytes in hex/],
      [a.exec("setup", "nowhere"), /the network namespace \/run\/netns\/nowhere is not there/],
      [callPlugin("a", ["setup", "/run/netns/first"], "{}"), /^standard input lacks one of container_id/],
      [callPlugin("a", ["setup"], "{}"), /^setup needs the path of a network namespace/],
      [callPlugin("a", ["create"], "no JSON"), /^standard input is no JSON/],
      [callPlugin("a", ["destroy"], "{}"), /^destroy is no command of a netavark plugin/],
    ];
    for (const [{ status, json }, sentence] of refusals) {
      t.equal(status, 1);
      t.match(json, { error: sentence });
      t.strictSame(Object.keys(json), ["error"]);
    }
    t.strictSame(records(a.cni), []);
    t.strictSame(a.exec("teardown", "nowhere"), { status: 0, json: null });
  });

  t.test(
    "driven as by netavark: create keeps name, ID and driver, and says that Podman gives no addresses",
    async (t) => {
      t.strictSame(callPlugin("a", ["create"], NETWORK), {
        status: 0,
        json: { ...NETWORK, dns_enabled: false, ipam_options: { driver: "none" } },
      });
      t.match(callPlugin("a", ["info"], ""), {
        status: 0,
        json: { version: /^[0-9]+\.[0-9]+\.[0-9]+$/, api_version: "1.0.0" },
      });
      t.match(callPlugin("a", [], ""), { status: 0, json: { api_version: "1.0.0" } });
    },
  );
});
