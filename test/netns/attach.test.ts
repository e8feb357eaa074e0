// `hopsack attach` and `detach`: namespaces without a container runtime, and a virtual machine's tap, beside pods of the CNI plugin.
//
//   web, cni-pod, vm ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ far
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { addressesOf, answers, type CniConfig, CniHost, makePod, records, skipBridge } from "../support/cni.js";
import { type Host, makeHost, networkState, TOOL, UNHOOKED, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const WAYS: readonly [string, CniConfig, string | false][] = [
  ["routed", { attach: "routed" }, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true, ipMasq: false } }, skipBridge],
];
const GUEST = fileURLToPath(new URL("../support/tap-guest.py", import.meta.url));

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `hopsack …` on a host, in the network of its CNI plugin. */
function hopsackOn({ host, config, dataDir }: CniHost, words: string): Answer {
  const file = join(dataDir, "../lab.conflist");
  const { name, cniVersion, ...plugin } = config;
  writeFileSync(file, JSON.stringify({ cniVersion, name, plugins: [{ type: "portmap" }, plugin] }));
  const argv = [...UNHOOKED, process.execPath, TOOL, ...words.split(" "), "--config", file];
  return spawnSync("ip", ["netns", "exec", host.name, ...argv], { encoding: "utf8" });
}

function json(answer: Answer) {
  if (answer.status !== 0) throw new Error(answer.stderr);
  return JSON.parse(answer.stdout);
}

/** A process in a network namespace of its own, as systemd-nspawn's leader is one. */
async function startMachine(t: Test): Promise<ChildProcess> {
  const machine = spawn("unshare", ["--net", "sleep", "1000"]);
  t.teardown(() => machine.kill("SIGKILL"));
  const netns = () => readlinkSync(`/proc/${machine.pid}/ns/net`);
  await until("the machine has a namespace", () => netns() !== readlinkSync("/proc/self/ns/net"));
  return machine;
}

withDaemons(t, import.meta.url, async () => {
  const hosts = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;

  async function start(t: Test, config: CniConfig = { attach: "routed" }): Promise<readonly [CniHost, CniHost]> {
    const place = new Place(t);
    await place.startAll(t, hosts);
    return [new CniHost(place, hosts[0], config), new CniHost(place, hosts[1], config)];
  }

  function newNetns(t: Test, name: string): string {
    t.teardown(() => run(`ip netns delete ${name}`));
    return makePod(name);
  }

  for (const [way, config, skip] of WAYS) {
    t.test(
      `${way}: a namespace and a process's reach each other and pods, and detach leaves nothing`,
      { skip },
      async (t) => {
        const [a, b] = await start(t, config);
        const before = hosts.map(networkState);
        newNetns(t, "web");
        const machine = await startMachine(t);
        const pod = { containerId: "pod", ifName: "eth0", netns: newNetns(t, "cni-pod") };
        const added = await a.call({ verb: "ADD", ...pod });
        const web = json(hopsackOn(a, "attach web --json"));
        const far = json(hopsackOn(b, `attach ${machine.pid} --name far --json`));
        t.match(web, { name: "web", network: "lab", netns: "/run/netns/web", interface: "eth0", mtuBytes: 1472 });
        t.match(web.addresses, [{ address: way === "routed" ? "10.244.1.3/32" : "10.244.1.3/24", gateway: String }]);
        t.equal(ipJson("-n web link show eth0")[0]?.mtu, 1472);
        const address = far.addresses[0].address.replace(/\/.*/, "");
        await until("web reaches far", () => answers("web", address));
        await until("web reaches the pod beside it", () => answers("web", addressesOf(added.json)[0] ?? ""));

        t.match(await a.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] }), { status: 0 });
        t.equal(ipJson("-n cni-pod link show")[1], undefined, "a runtime's GC takes the runtime's pods");
        t.equal(answers("web", address), true, "and not what a person attached");

        t.match(hopsackOn(a, "detach web"), { status: 0, stdout: "web is detached from the network lab (eth0)\n" });
        t.match(json(hopsackOn(b, "detach far --json")), { name: "far", network: "lab", interfaces: ["eth0"] });
        t.strictSame([...records(a), ...records(b)], []);
        if (way === "bridge") for (const { name } of hosts) run(`ip -n ${name} link delete cni0`);
        t.strictSame(hosts.map(networkState), before);
        t.equal(ipJson("-n web link show").length, 1, "only lo");
      },
    );

    t.test(`${way}: a namespace that is gone is detached all the same`, { skip }, async (t) => {
      const [a] = await start(t, config);
      makePod("shortlived");
      t.equal(hopsackOn(a, "attach shortlived").status, 0);
      run("ip netns delete shortlived");
      newNetns(t, "shortlived"); // another one of that name, which must not be touched
      run("ip -n shortlived link add eth0 type bridge");
      t.equal(hopsackOn(a, "detach shortlived").status, 0);
      t.equal(ipJson("-n shortlived link show eth0").length, 1);
      t.strictSame(records(a), []);
    });
  }

  t.test(
    "a machine's card on a tap: the guest does what it is told to, and is reached from the other host",
    async (t) => {
      const [a, b] = await start(t);
      const before = networkState(hosts[0]);
      newNetns(t, "far");
      const far = json(hopsackOn(b, "attach far --json")).addresses[0].address.replace(/\/.*/, "");
      const { status, stdout, stderr } = hopsackOn(a, "attach --tap tap0 --name vm --ip 10.244.1.50");
      t.equal(status, 0, stderr);
      t.match(
        stdout,
        /^vm is attached to the network lab\n.*tap0 on this host.*\n.*10\.244\.1\.50\/32\n.*169\.254\.1\.1\n.*1472\n/,
      );
      newNetns(t, "guest");
      const guest = await plugIn(t, hosts[0], "tap0", "/run/netns/guest");
      for (const [, command] of stdout.matchAll(/^ {2}ip (.*)$/gm)) run(`ip -n guest ${command}`);
      await until("the guest reaches the other host's pod", () => answers("guest", far));
      t.equal(answers("far", "10.244.1.50"), true);
      guest.kill();
      await once(guest, "close");
      t.equal(ipJson("-n a link show tap0").length, 1, "it waits for the machine's next start");
      t.equal(hopsackOn(a, "detach vm").status, 0);
      t.strictSame(networkState(hosts[0]), before);
      t.strictSame(records(a), []);
    },
  );

  t.test("a tap that was there is used, and given back as it was", async (t) => {
    const [a] = await start(t);
    run("ip -n a tuntap add tap7 mode tap");
    t.teardown(() => run("ip -n a link delete tap7"));
    run("ip -n a link set tap7 mtu 1400 txqueuelen 77 up"); // its first time up changes its qdisc for good
    run("ip -n a link set tap7 down");
    const before = networkState(hosts[0]);
    t.match(json(hopsackOn(a, "attach --tap tap7 --json")), { name: "tap7", netns: null, mtuBytes: 1472 });
    t.match(ipJson("-n a link show tap7"), [
      { mtu: 1472, ifalias: /^hopsack-cni lab by-hand\.tap7:tap7 was 1400 down$/ },
    ]);
    t.match(hopsackOn(a, "attach --tap tap7 --name other"), {
      status: 1,
      stderr:
        /^hopsack: the device tap7 is somebody's: its alias is "hopsack-cni .*; give another name, .* \[DEVICE_BUSY\]\n$/,
    });
    t.strictSame(records(a), ["by-hand.tap7:tap7"], "the refused one has no address");
    t.equal(hopsackOn(a, "detach tap7").status, 0);
    t.strictSame(networkState(hosts[0]), before);
  });

  t.test(
    "what cannot be attached or detached is said in one sentence with its code, and nothing is left",
    async (t) => {
      const [a] = await start(t);
      newNetns(t, "web");
      newNetns(t, "taken");
      const before = networkState(hosts[0]);
      run("ip -n taken link add eth0 type bridge");
      writeFileSync("/run/netns/none", "");
      const refusals: readonly [string, string, RegExp][] = [
        ["attach nowhere", "NO_NAMESPACE", /there is no network namespace \/run\/netns\/nowhere; ip netns list/],
        ["attach /etc/passwd/x", "NO_NAMESPACE", /there is no network namespace \/etc\/passwd\/x/],
        ["attach none", "NO_NAMESPACE", /\/run\/netns\/none is no network namespace/],
        ["attach 4194305", "NO_NAMESPACE", /no process 4194305 runs here/],
        ["attach /proc/self/ns/net", "NO_NAMESPACE", /is this host's own network namespace, which is no pod/],
        ["attach taken", "ALREADY_ATTACHED", /has an interface eth0 already; choose another name/],
        ["attach web --ip 10.244.2.9", "ADDRESS_REFUSED", /10\.244\.2\.9 .* is not one of the lease 10\.244\.1\.0\/24/],
        ["attach web --ip 10.244.1.1", "ADDRESS_REFUSED", /10\.244\.1\.1 .* is not for a pod/],
        ["attach web --ip fd00::1", "BAD_OPTION", /--ip "fd00::1" is not accepted; give an IPv4 address/],
        ["attach web --name a/b", "BAD_OPTION", /--name "a\/b" is not accepted/],
        ["attach web --ifname sixteen-letters-", "BAD_OPTION", /--ifname "sixteen-letters-" is not accepted/],
        ["attach web --tap tap0", "BAD_OPTION", /a namespace and --tap are given; give one of the two/],
        ["attach --name x", "BAD_OPTION", /neither a namespace nor --tap is given/],
        ["attach --tap eth0", "DEVICE_BUSY", /the device eth0 is no tap; give another name/],
        ["detach web", "NOT_ATTACHED", /web is not attached to the network lab; nothing is attached by hand/],
      ];
      for (const [words, code, sentence] of refusals) {
        const { status, stdout, stderr } = hopsackOn(a, words);
        t.match(stderr, sentence, words);
        t.match(stderr, new RegExp(`^hopsack: [^\n]+ \\[${code}\\]\n$`), words);
        t.strictSame([status, stdout], [code === "BAD_OPTION" ? 2 : 1, ""], words);
      }
      t.strictSame(records(a), []);
      t.strictSame(networkState(hosts[0]), before);

      t.equal(hopsackOn(a, "attach web --ip 10.244.1.9").status, 0);
      t.match(
        hopsackOn(a, "attach web").stderr,
        /^hopsack: web is attached already; undo that first: hopsack detach web; .* \[ALREADY_ATTACHED\]\n$/,
      );
      t.match(
        hopsackOn(a, "attach taken --ifname eth1 --ip 10.244.1.9").stderr,
        /10\.244\.1\.9 .* belongs to another pod; .* \[ADDRESS_REFUSED\]/,
      );
      t.match(
        hopsackOn(a, "detach nothing").stderr,
        /nothing is not attached to the network lab; by hand are attached: web \[NOT_ATTACHED\]/,
      );
      const second = hopsackOn(a, "attach web --ifname eth1");
      t.match(
        second.stderr,
        /refused to add route 169\.254\.1\.1\/32 dev eth1 .* \[KERNEL_REFUSED\]/,
        "it has a gateway",
      );
      t.strictSame(records(a), ["by-hand.web:eth0"]);
      t.equal(hopsackOn(a, "detach web").status, 0);
      t.strictSame(networkState(hosts[0]), before);
    },
  );

  t.test("without a daemon nothing is attached, and without root neither", async (t) => {
    const place = new Place(t);
    const a = new CniHost(place, hosts[0], { attach: "routed" });
    newNetns(t, "web");
    t.match(hopsackOn(a, "attach web").stderr, /^hopsack: no hopsackd answers on .* \[NOT_RUNNING\]\n$/);
    const argv = ["--bounding-set", "-net_admin", ...UNHOOKED, process.execPath, TOOL, "attach", "web"];
    t.match(spawnSync("setpriv", argv, { encoding: "utf8" }), {
      status: 1,
      stderr: /may not attach anything; run it as root .* \[NOT_PERMITTED\]\n$/,
    });
  });

  t.test("a configuration that cannot be used is named", async (t) => {
    const [a] = await start(t, { attach: "bridge" });
    t.match(
      hopsackOn(a, "attach --tap tap0").stderr,
      /a tap cannot be attached by the plugins of "bridge"; set .* \[BAD_CONFIG\]/,
    );
    const file = join(a.dataDir, "../other.conf");
    for (const [text, fault] of [
      ["{", /is no JSON/],
      ['{"name": "x", "type": "bridge"}', /it has no plugin of "type": "hopsack"/],
      [
        '{"name": "x", "type": "hopsack", "attach": "glue"}',
        /attach in the network configuration is "glue"; give bridge or routed/,
      ],
    ] as const) {
      writeFileSync(file, text);
      const argv = [...UNHOOKED, process.execPath, TOOL, "detach", "web", "--config", file];
      t.match(spawnSync("ip", ["netns", "exec", "a", ...argv], { encoding: "utf8" }), { status: 1, stderr: fault });
    }
  });
});

/** Starts the machine whose card the tap is. */
async function plugIn(t: Test, host: Host, tap: string, guest: string): Promise<ChildProcess> {
  const machine = spawn("ip", ["netns", "exec", host.name, "python3", GUEST, tap, guest], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => machine.kill("SIGKILL"));
  await once(machine.stdout, "data");
  return machine;
}
