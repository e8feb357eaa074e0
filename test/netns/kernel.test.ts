// Rtnetlink and the addon's netlink classes against a real kernel; iproute2 is the oracle. The host: support/kernel-host.ts
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import t from "tap";
import { loadAddon } from "../../src/addon.js";
import { errnoOf } from "../../src/errors.js";
import { Rtnetlink } from "../../src/kernel/rtnetlink.js";
import { RouteScope } from "../../src/netlink/addr.js";
import type { Change, RouteChange } from "../../src/netlink/change.js";
import { NO_SETTINGS } from "../../src/netlink/link.js";
import { HOPSACK_ROUTE_PROTOCOL, MAIN_TABLE, POD_ROUTE_PROTOCOL } from "../../src/netlink/route.js";
import { linkNamed, setUpHost } from "../support/kernel-host.js";
import { inOwnNamespace, ipJson, run, until } from "../support/netns.js";

const OUR_ROUTES = `proto ${HOPSACK_ROUTE_PROTOCOL}`;

inOwnNamespace(t, import.meta.url, () => {
  t.test("links, addresses and routes are what ip shows", async (t) => {
    const rtnetlink = await setUpHost(t);
    run("ip address add fd00::1/64 dev uplink");
    run("ip route add 10.5.0.0/16 nexthop via 10.99.0.3 nexthop via 10.99.0.4 dev uplink");
    run("ip route add blackhole 10.6.0.0/16");
    const links = rtnetlink.links();
    t.strictSame(
      links.map(({ index, name, mtuBytes, txQueueLength }) => [index, name, mtuBytes, txQueueLength]),
      ipJson("link").map(({ ifindex, ifname, mtu, txqlen }) => [ifindex, ifname, mtu, txqlen]),
    );
    t.strictSame(rtnetlink.link("flannel0"), linkNamed(rtnetlink, "flannel0"));
    t.equal(rtnetlink.link("nowhere"), null);
    t.equal(linkNamed(rtnetlink, "flannel0").kind, "tun");
    t.equal(linkNamed(rtnetlink, "flannel0").isUp, false);
    t.match(linkNamed(rtnetlink, "uplink"), { kind: "veth", isUp: true, isRunning: true, masterIndex: null });
    t.equal(linkNamed(rtnetlink, "uplink").hardwareAddress, ipJson("link show uplink")[0]?.address);

    const nameOf = (index: number | null) => links.find((link) => link.index === index)?.name;
    const shown = run("ip -o address").match(/inet6? \S+/g) ?? [];
    t.strictSame(
      rtnetlink
        .addresses()
        .map((a) => `inet${a.family === 6 ? "6" : ""} ${a.address}/${a.prefixLength}`)
        .sort(),
      shown.sort(),
    );

    const routes = rtnetlink.routes().filter(({ family }) => family === 4);
    t.strictSame(
      routes.map((route) => route.prefix.replace("0.0.0.0/0", "default")),
      ipJson("route").map(({ dst }) => dst),
    );
    t.ok(routes.every(({ table }) => table === MAIN_TABLE));
    const multipath = routes.find((route) => route.prefix === "10.5.0.0/16");
    t.strictSame(
      multipath?.nextHops.map(({ linkIndex, gateway }) => [nameOf(linkIndex), gateway]),
      [
        ["uplink", "10.99.0.3"],
        ["uplink", "10.99.0.4"],
      ],
    );
    t.strictSame(routes.find((route) => route.prefix === "10.6.0.0/16")?.nextHops, []);
  });

  t.test("routeTo answers like ip route get, and null where there is no way", async (t) => {
    const rtnetlink = await setUpHost(t);
    const link = linkNamed(rtnetlink, "uplink");
    t.match(rtnetlink.routeTo("203.0.113.9"), {
      nextHops: [{ linkIndex: link.index, gateway: "10.99.0.2" }],
      preferredSource: "10.99.0.1",
    });
    t.match(rtnetlink.routeTo("10.99.0.7"), { nextHops: [{ linkIndex: link.index, gateway: null }] });
    t.equal(rtnetlink.routeTo("2001:db8::1"), null);
  });

  t.test("pathsFrom says by whom and how far each address is reached, as rules and routes are now", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { index: linkIndex } = linkNamed(rtnetlink, "uplink");
    run("ip route add 10.99.0.8 dev uplink mtu lock 1000");
    run("ip route add unreachable 203.0.113.7");
    run("ip route add 198.51.100.0/24 via 10.99.0.5 table 77");
    run("ip rule add from 10.99.0.1 to 198.51.100.0/24 table 77");
    t.teardown(() => run("ip rule del from 10.99.0.1 to 198.51.100.0/24 table 77"));
    const addresses = ["10.99.0.7", "203.0.113.9", "10.99.0.8", "203.0.113.7", "198.51.100.1", "10.99.0.1"];
    t.strictSame(rtnetlink.pathsFrom("10.99.0.1", addresses), [
      { linkIndex, neighbor: "10.99.0.7", mtuBytes: null },
      { linkIndex, neighbor: "10.99.0.2", mtuBytes: null },
      { linkIndex, neighbor: "10.99.0.8", mtuBytes: 1000 },
      null,
      { linkIndex, neighbor: "10.99.0.5", mtuBytes: null },
      null,
    ]);
    t.strictSame(rtnetlink.pathsFrom("10.99.0.99", ["10.99.0.7"]), [null], "from an address that is not ours");
    t.strictSame(rtnetlink.pathsFrom("10.99.0.1", []), []);
  });

  t.test("a thousand routes are added, replaced and removed in batches, each answered", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { index } = linkNamed(rtnetlink, "uplink");
    const routes = (kind: RouteChange["kind"] | "remove-route", gateway: string): Change[] =>
      Array.from({ length: 1000 }, (_, i) => ({
        kind,
        prefix: `10.55.${i >> 2}.${(i & 3) * 64}/26`,
        linkIndex: index,
        linkName: "uplink",
        gateway,
        isOnLink: false,
        metric: null,
        protocol: HOPSACK_ROUTE_PROTOCOL,
      }));
    const shown = (via: string) => run(`ip route show ${OUR_ROUTES} via ${via}`).split("\n").length - 1;
    const refused = (changes: Change[]) => rtnetlink.apply(changes).filter((error) => error !== null).length;
    t.equal(refused(routes("add-route", "10.99.0.2")), 0);
    t.equal(shown("10.99.0.2"), 1000);
    t.equal(rtnetlink.routes().filter(({ protocol }) => protocol === HOPSACK_ROUTE_PROTOCOL).length, 1000);
    t.equal(refused(routes("add-route", "10.99.0.2")), 1000, "none is added twice");
    t.equal(refused(routes("replace-route", "10.99.0.3")), 0);
    t.equal(shown("10.99.0.3"), 1000);
    t.equal(refused(routes("remove-route", "10.99.0.3")), 0);
    t.equal(shown("10.99.0.3"), 0);
  });

  t.test("a refused change carries the kernel's words and does not keep back the others", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { index } = linkNamed(rtnetlink, "uplink");
    const route = { kind: "add-route", linkIndex: index, linkName: "uplink", isOnLink: false, metric: null } as const;
    const [good, bad, other, link] = rtnetlink.apply([
      { ...route, prefix: "10.70.0.0/16", gateway: "10.99.0.2" },
      { ...route, prefix: "10.71.0.0/16", gateway: "192.0.2.1" },
      { ...route, prefix: "10.72.0.0/16", gateway: "10.99.0.2" },
      {
        kind: "set-link",
        linkIndex: 999_999,
        linkName: "nowhere0",
        ...NO_SETTINGS,
        isUp: true,
      },
    ]);
    t.equal(good, null);
    t.equal(other, null);
    t.equal(bad?.code, "KERNEL_REFUSED");
    t.equal(
      bad?.message,
      "the kernel refused to add route 10.71.0.0/16 via 192.0.2.1 dev uplink (ENETUNREACH: Nexthop has invalid gateway)",
    );
    t.match(link?.message, /set link nowhere0 up \(ENODEV: /);
    t.equal(errnoOf(link?.cause), "ENODEV");
  });

  t.test("a veth pair joins two namespaces, and the other one is spoken to from here", async (t) => {
    const rtnetlink = await setUpHost(t);
    const netns = "/run/netns/kernel-pod";
    run("ip netns add kernel-pod");
    t.teardown(() => run("ip netns delete kernel-pod"));
    const before = ipJson("link").length;
    const fd = openSync(netns, "r");
    const pair = { linkName: "hsk1", mtuBytes: 1400, peerName: "eth0", peerNetnsFd: fd, queues: null };
    const [made, again] = rtnetlink.apply([
      { kind: "add-veth", ...pair },
      { kind: "add-veth", ...pair, linkName: "hsk2" },
    ]);
    closeSync(fd);
    t.equal(made, null);
    t.match(again?.message, /add veth pair hsk2 peer eth0 \(EEXIST: /);
    t.equal(ipJson("link").length, before + 1, "the refused pair left nothing");
    t.match(ipJson("-d link show hsk1"), [{ mtu: 1400, linkinfo: { info_kind: "veth" } }]);

    const pod = Rtnetlink.inNetns(netns);
    t.teardown(() => pod.close());
    const on = { linkIndex: linkNamed(pod, "eth0").index, linkName: "eth0" };
    const route = { kind: "add-route", ...on, isOnLink: false, metric: null } as const;
    const refusals = pod.apply([
      { kind: "set-link", ...on, ...NO_SETTINGS, isUp: true },
      { kind: "add-address", ...on, address: "10.77.0.5/32", scope: RouteScope.host },
      { ...route, prefix: "169.254.1.1/32", gateway: null, protocol: POD_ROUTE_PROTOCOL },
    ]);
    t.strictSame(refusals, [null, null, null]);
    t.match(ipJson("-n kernel-pod address show eth0"), [
      { mtu: 1400, addr_info: [{ local: "10.77.0.5", scope: "host" }] },
    ]);
    t.match(ipJson("-n kernel-pod route"), [{ dst: "169.254.1.1", dev: "eth0", protocol: "86", scope: "link" }]);
    t.equal(ipJson("link show lo")[0]?.ifname, "lo", "this thread is where it was");
    t.equal(
      ipJson("address").some((link) => JSON.stringify(link).includes("10.77.0.5")),
      false,
    );
  });

  t.test("a path that is no network namespace is refused by the system's own error", async (t) => {
    t.throws(() => Rtnetlink.inNetns("/run/netns/nowhere"), { code: "ENOENT", syscall: "open" });
    t.throws(() => Rtnetlink.inNetns("/proc/self/ns/uts"), { code: "EINVAL", syscall: "setns" });
  });

  t.test("without the capability a change is NOT_PERMITTED, and says what to do", async (t) => {
    const probe = `
      const { Rtnetlink } = await import(${JSON.stringify(new URL("../../src/kernel/rtnetlink.ts", import.meta.url).href)});
      const settings = { isUp: true, mtuBytes: 1400, txQueueLength: null, name: null, alias: null, hardwareAddress: null };
      const change = { kind: "set-link", linkIndex: 1, linkName: "lo", ...settings };
      const [error] = new Rtnetlink().apply([change]);
      console.log(error.code, error.message);`;
    const args = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const node = [process.execPath, ...process.execArgv, "--input-type=module", "-e", probe];
    const { stdout, stderr } = spawnSync("setpriv", [...args, ...node], { encoding: "utf8" });
    t.equal(stderr, "");
    t.match(stdout, /^NOT_PERMITTED the kernel refused to set link lo up mtu 1400 \(EPERM: .*CAP_NET_ADMIN$/m);
  });

  t.test("a request that is no whole message, or asks for no answer, is refused before it is sent", async (t) => {
    const socket = new (loadAddon().NetlinkSocket)();
    for (const request of [new Uint8Array(), new Uint8Array(15), new Uint8Array(16).fill(255), new Uint8Array(18)]) {
      t.throws(() => socket.request([request]), { code: "EINVAL" });
    }
    t.strictSame(socket.request([]), []);
    socket.close();
    socket.close();
    t.throws(() => socket.request([]), /closed/);
  });

  t.test("lost events are an empty list, and close() ends the monitor", async (t) => {
    await setUpHost(t);
    const { NetlinkMonitor } = loadAddon();
    const batches: number[] = [];
    const monitor = new NetlinkMonitor([7], (messages) => batches.push(messages.length));
    const lines = (verb: string) =>
      Array.from({ length: 20_000 }, (_, i) => `route ${verb} 10.56.${i >> 8}.${i & 255} dev uplink\n`);
    spawnSync("ip", ["-batch", "-"], { input: [...lines("add"), ...lines("del")].join("") }); // the event loop stands still
    await until("the loss is told", () => batches.includes(0));
    t.ok(batches.some((count) => count > 0));
    monitor.close();
    monitor.close();
    const seen = batches.length;
    run("ip route add 10.57.0.0/16 dev uplink");
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(batches.length, seen);
    t.throws(() => new NetlinkMonitor([4096], () => {}), { code: "EINVAL" });
  });

  t.test("a process or worker that ends with an open monitor ends cleanly", async (t) => {
    const addon = `process.dlopen(module = { exports: {} }, ${JSON.stringify(new URL("../../build/Release/hopsack.node", import.meta.url).pathname)})`;
    const open = `let module; ${addon}; new module.exports.NetlinkMonitor([1, 7], () => {});`;
    for (const program of [
      `${open} process.exit(0)`,
      `const { Worker } = require("node:worker_threads");
       const worker = new Worker(${JSON.stringify(`${open} require("node:worker_threads").parentPort.postMessage(1)`)}, { eval: true });
       worker.on("message", () => worker.terminate());`,
    ]) {
      const { status, signal, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
      t.strictSame({ status, signal, stderr }, { status: 0, signal: null, stderr: "" });
    }
  });

  t.test("a file lock is exclusive between open files, and ends with the file", async (t) => {
    const { tryLockFile } = loadAddon();
    const path = `${t.testdir()}/lock`;
    const [first, second] = [openSync(path, "w"), openSync(path, "w")];
    t.equal(tryLockFile(first), true);
    t.equal(tryLockFile(second), false);
    closeSync(first);
    t.equal(tryLockFile(second), true);
    closeSync(second);
    t.throws(() => tryLockFile(9999), { code: "EBADF", syscall: "flock" });
  });

  t.test("lost answers are a KERNEL_REFUSED that may be tried again", async (t) => {
    const broken = {
      request: () => {
        throw Object.assign(new Error("ENOBUFS: x, recvfrom"), { code: "ENOBUFS" });
      },
      netnsCookie: () => 0n,
      close: () => {},
    };
    t.throws(() => new Rtnetlink(broken).links(), { code: "KERNEL_REFUSED", retryable: true });
  });
});
