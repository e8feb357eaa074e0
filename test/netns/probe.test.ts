// Daemons ask each other through the overlay whether packets arrive:
//
//   a: eth0 192.168.50.10 ──┐
//   b: eth0 192.168.50.11 ──┼── br0
//   c: eth0 192.168.50.12 ──┘  without a daemon: a stranger, or a host with a lease that flannel wrote
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { encodeQuestion } from "../../src/wire/probe.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import type { Mode } from "../support/mode-matrix.js";
import { ALLOC, DIRECT_ROUTING, HOST_GW, UDP, VXLAN, VXLAN_USERSPACE } from "../support/modes.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { answerOf, startScript } from "../support/traffic.js";

/** A peer is lost after three questions, five seconds apart, without an answer. */
const LOST_LIMIT_MS = 30_000;
const QUESTION = encodeQuestion(5n, 900);
const HOLD_PORT = `require("dgram").createSocket("udp4").bind(9286, () => console.log("bound"))`;

function place(t: Test, { backend }: Pick<Mode, "backend">): Place {
  return new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }));
}

function reachStates(place: Place, host: Host): unknown[] {
  return place.status(host).peers.map(({ reach }) => reach?.state ?? null);
}

/** A lease of a host that runs flannel, or nothing. */
function writeForeignLease(place: Place, host: Host, number: number): void {
  const folder = join(place.store, "subnets");
  mkdirSync(folder, { recursive: true });
  const lease = { PublicIP: host.address, PublicIPv6: null, BackendType: "udp" };
  writeFileSync(join(folder, `10.244.${number}.0-24.json`), JSON.stringify(lease));
}

async function declareTests(): Promise<void> {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  for (const mode of [UDP, VXLAN, VXLAN_USERSPACE, DIRECT_ROUTING, HOST_GW]) {
    t.test(`${mode.name}: hosts reach each other, with a round trip and no drop`, async (t) => {
      const site = place(t, mode);
      await site.startAll(t, [a, b], (host) => mode.flags(host));
      for (const host of [a, b]) {
        await until(`${host.name} reaches its peer`, () => reachStates(site, host)[0] === "reachable", LOST_LIMIT_MS);
        const { peers, probes, drops, warnings } = site.status(host);
        const own = mode === HOST_GW ? host.address : site.firstAddress(host).replace(/1$/, "0");
        t.same(probes, { address: own, port: 9286 });
        const { roundTripMilliseconds = null, loss, lastHeardAt } = peers[0]?.reach ?? {};
        t.ok(roundTripMilliseconds !== null && roundTripMilliseconds > 0);
        t.equal(loss, 0);
        t.ok(Date.now() - Date.parse(lastHeardAt ?? "") < LOST_LIMIT_MS);
        t.same(
          drops.filter(({ packets }) => packets > 0),
          [],
        );
        t.same(warnings, []);
      }
      const target = site.status(b).probes?.address ?? "";
      const source = site.status(a).probes?.address ?? "";
      t.equal(answerOf(a, source, target, 9286, QUESTION), "900 bytes", "as long as the question");
      const outside = mode === HOST_GW ? "nothing" : "ECONNREFUSED";
      t.equal(answerOf(c, c.address, b.address, 9286, QUESTION), outside, "for a stranger");
    });
  }

  t.test("alloc: no address of the overlay is the daemon's, so nobody is asked", async (t) => {
    const site = place(t, ALLOC);
    await site.startAll(t, [a, b]);
    await until("a knows b", () => site.status(a).peers.length === 1);
    t.same([reachStates(site, a), site.status(a).probes], [[null], null]);
  });

  t.test(
    "a host without our daemon is silent, which is no warning; a host that dies is lost, which is one",
    async (t) => {
      const site = place(t, UDP);
      const [, daemon] = await site.startAll(t, [a, b]);
      writeForeignLease(site, c, 3);
      await until("a reaches b", () => reachStates(site, a).includes("reachable"), LOST_LIMIT_MS);
      await until("c is silent", () => reachStates(site, a).includes("silent"), LOST_LIMIT_MS);
      t.same(site.status(a).warnings, []);
      daemon?.kill("SIGKILL");
      await daemon?.ended;
      await until("b is lost", () => reachStates(site, a).includes("lost"), LOST_LIMIT_MS);
      const { warnings, peers } = site.status(a);
      t.match(warnings, [/^no longer answers probes: 10\.244\.2\.0-24 of b at 192\.168\.50\.11; see .*hopsack doctor/]);
      t.equal(warnings.length, 1);
      t.ok((peers.find(({ node }) => node === "b")?.reach?.loss ?? 0) > 0);
      await site.start(t, b).logged("ready");
      await until("b is back", () => reachStates(site, a).includes("reachable"), LOST_LIMIT_MS);
      t.same(site.status(a).warnings, []);
    },
  );

  t.test("a host that is heard and does not hear us is told apart", async (t) => {
    const site = place(t, UDP);
    await site.startAll(t, [a, b]);
    for (const host of [a, b])
      await until(`${host.name} reaches its peer`, () => reachStates(site, host)[0] === "reachable", LOST_LIMIT_MS);
    for (const words of [
      "add table inet wall",
      "add chain inet wall out { type filter hook output priority 0; }",
      "add rule inet wall out oifname eth0 udp dport 8285 drop",
    ])
      run(`ip netns exec a nft ${words}`);
    t.teardown(() => void run("ip netns exec a nft delete table inet wall"));
    await until("a is deaf to nobody, and heard by none", () => reachStates(site, a)[0] === "one-way", LOST_LIMIT_MS);
    await until("b has lost a", () => reachStates(site, b)[0] === "lost", LOST_LIMIT_MS);
    t.match(site.status(a).warnings, [/^is heard, but answers no probe of ours: .* on both hosts$/]);
  });

  t.test("--probe-peers=false asks nobody and answers nobody", async (t) => {
    const site = place(t, UDP);
    await site.startAll(t, [a, b], ({ name }) => (name === "b" ? ["--probe-peers=false"] : []));
    await until("b is silent for a", () => reachStates(site, a)[0] === "silent", LOST_LIMIT_MS);
    t.same([reachStates(site, b), site.status(b).probes], [[null], null]);
  });

  t.test("a port that somebody else holds is one warning, and keeps no packet from flowing", async (t) => {
    const site = place(t, UDP);
    site.reserve(a, "10.244.1.0/24");
    const holder = startScript(a, HOLD_PORT);
    t.teardown(() => holder.kill("SIGKILL"));
    if (holder.stdout !== null) await once(holder.stdout, "data");
    const daemon = site.start(t, a);
    await daemon.logged("ready");
    await until("a warning", () => site.status(a).warnings.length > 0, LOST_LIMIT_MS);
    t.match(site.status(a).warnings, [
      /^UDP port 9286 on 10\.244\.1\.0, .* is in use; see .*ss -lunp.*--probe-peers=false$/,
    ]);
    holder.kill("SIGKILL");
    await daemon.logged("trouble_over");
    t.same(site.status(a).warnings, []);
  });
}

withDaemons(t, import.meta.url, declareTests);
