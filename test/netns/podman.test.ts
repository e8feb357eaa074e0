// Podman of Debian 12, with CNI, runs containers of a hand-made image on two hosts; they reach each other, both ways of attaching:
//
//   container c-a ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ container c-b
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { CNI_PLUGIN, DEBIAN_PLUGINS, skipBridge } from "../support/cni.js";
import { type Host, makeHost, UNHOOKED, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const TOOLS = ["podman", "crun", "busybox"];
const APPLETS = ["ping", "sleep"];

const missing = TOOLS.filter((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0);
const skip = missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;

/** The root file system of the containers as an archive: busybox and the names it is called by. */
function makeImage(folder: string): string {
  const bin = join(folder, "image/bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync("/bin/busybox", join(bin, "busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(bin, applet));
  run(`tar -C ${folder}/image -cf ${folder}/image.tar .`);
  return `${folder}/image.tar`;
}

/** Podman on one host, with folders of its own. */
class Podman {
  readonly #command: string;
  readonly #place: Place;
  readonly #host: Host;

  constructor(place: Place, host: Host, attach: string) {
    const folder = join(place.folder, host.name);
    for (const name of ["net.d", "plugins"]) mkdirSync(join(folder, name), { recursive: true });
    symlinkSync(CNI_PLUGIN, join(folder, "plugins/hopsack"));
    const paths = { subnetFile: place.subnetFile(host), daemonSocket: place.socket(host), dataDir: `${folder}/cni` };
    const plugin = { type: "hopsack", attach, ...paths, ...(attach === "bridge" && { delegate: { ipMasq: false } }) };
    writeFileSync(
      join(folder, "net.d/10-lab.conflist"),
      JSON.stringify({ cniVersion: "1.0.0", name: "lab", plugins: [plugin] }),
    );
    const conf = join(folder, "containers.conf");
    writeFileSync(conf, configuration(folder));
    const own = `--root ${folder}/root --runroot ${folder}/runroot --tmpdir ${folder}/tmp --storage-driver vfs`;
    // Not `ip netns exec`, which hides /sys/fs/cgroup.
    this.#command = `nsenter --net=/run/netns/${host.name} ${UNHOOKED.join(" ")} CONTAINERS_CONF=${conf} podman ${own}`;
    this.#place = place;
    this.#host = host;
  }

  do(words: string): string {
    return run(`${this.#command} ${words}`);
  }

  /** Runs a container until it is removed; its address. */
  start(t: Test, name: string, image: string): string {
    this.do(`import -q ${image} lab/busybox`);
    t.teardown(() => this.do(`rm -f -i -t 0 ${name}`));
    this.do(`run -d --name ${name} --network lab lab/busybox sleep 1000`);
    return this.do(`inspect ${name} --format {{.NetworkSettings.Networks.lab.IPAddress}}`).trim();
  }

  reaches(container: string, address: string): boolean {
    try {
      this.do(`exec ${container} ping -c 1 -W 1 ${address}`);
      return true;
    } catch {
      return false;
    }
  }

  /** Addresses that the plugin still holds. */
  held(): string[] {
    const file = join(this.#place.folder, this.#host.name, "cni/lab/addresses.json");
    return Object.keys(JSON.parse(readFileSync(file, "utf8")).held);
  }
}

function configuration(folder: string): string {
  return `
[network]
network_backend = "cni"
network_config_dir = "${folder}/net.d"
cni_plugin_dirs = ["${folder}/plugins", "${DEBIAN_PLUGINS}"]
default_network = "lab"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
[containers]
cgroups = "disabled"
`;
}

withDaemons(t, import.meta.url, async () => {
  const hosts = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;
  if (skip === false) run("mount -t cgroup2 none /sys/fs/cgroup"); // in this mount namespace: crun refuses the two kinds together

  for (const [attach, reason] of [
    ["routed", skip],
    ["bridge", skip || skipBridge],
  ] as const) {
    t.test(
      `${attach}: Podman's containers on two hosts reach each other, and go without a trace`,
      { skip: reason },
      async (t) => {
        const place = new Place(t);
        await place.startAll(t, hosts);
        const image = makeImage(place.folder);
        const [a, b] = [new Podman(place, hosts[0], attach), new Podman(place, hosts[1], attach)];
        const [first, second] = [a.start(t, "c-a", image), b.start(t, "c-b", image)];
        t.strictSame([first, second], ["10.244.1.2", "10.244.2.2"]);
        await until("c-a reaches c-b", () => a.reaches("c-a", second));
        await until("c-b reaches c-a", () => b.reaches("c-b", first));
        a.do("rm -f -t 0 c-a");
        t.strictSame(
          ipJson("-n a link").filter(({ ifname }) => /^(hsk|veth)/.test(String(ifname))),
          [],
        );
        if (attach === "routed") t.strictSame(a.held(), []);
      },
    );
  }
});
