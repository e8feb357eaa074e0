// extension on two hosts of one bridge: flannel's own example, host-gw made of two commands.
//
//   a: eth0 192.168.50.10 ── br0 ── eth0 192.168.50.11 :b
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { hopsack, makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const before = [a, b].map(networkState);
  const config = (notes: string, add: string): string =>
    JSON.stringify({
      Network: "10.244.0.0/16",
      Backend: {
        Type: "extension",
        PreStartupCommand: 'echo "data of $PUBLIC_IP"',
        PostStartupCommand: `echo "post $SUBNET" >>${notes}`,
        SubnetAddCommand: `read -r data; echo "add $SUBNET $data" >>${notes}; ${add}`,
        SubnetRemoveCommand: "ip route del $SUBNET via $PUBLIC_IP",
        ShutdownCommand: `echo "bye $SUBNET" >>${notes}`,
      },
    });
  const routeOfA = (): string => run("ip -n a route show 10.244.2.0/24").trim();

  t.test("routes appear and go with the peers, data passes, and a clean stop leaves nothing", async (t) => {
    const notes = "/run/notes-1";
    const place = new Place(t, config(notes, "ip route add $SUBNET via $PUBLIC_IP"));
    place.reserve(a, "10.244.1.0/24");
    place.reserve(b, "10.244.2.0/24");
    const first = place.start(t, a);
    await first.logged("ready");
    t.match(readFileSync(notes, "utf8"), "post 10.244.1.0/24\n", "subnet.env is written after the commands");
    t.ok(existsSync(place.subnetFile(a)));
    const second = place.start(t, b);
    await second.logged("ready");
    await until("a has the route", () => routeOfA() === "10.244.2.0/24 via 192.168.50.11 dev eth0");
    t.match(readFileSync(notes, "utf8"), "add 10.244.2.0/24 data of 192.168.50.11\n");
    await second.stop();
    await until("the route is gone", () => routeOfA() === "");

    await t.test("another mode in the store ends the commands of this one", async () => {
      const host = { Network: "10.244.0.0/16", Backend: { Type: "host-gw" } };
      writeFileSync(join(place.store, "config.json"), JSON.stringify(host));
      await until("the shutdown command", () => readFileSync(notes, "utf8").includes("bye 10.244.1.0/24\n"));
    });
    await first.stop();
    t.strictSame([a, b].map(networkState), before);
    t.equal(readFileSync(notes, "utf8").match(/bye 10\.244\.1/g)?.length, 1);
  });

  t.test("a command that fails is told in log and status, and stops nobody", async (t) => {
    const place = new Place(t, config("/run/notes-2", "echo boom >&2; exit 1"));
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    await place.start(t, b).logged("ready");
    t.match(await daemon.logged("command_failed"), { code: "TOOL_FAILED" });
    const warnings = (): string => String(JSON.parse(hopsack(a, `status --json --socket ${place.socket(a)}`)).warnings);
    await until("the status tells", () => /SubnetAddCommand for 10\.244\.\d+\.0-24 failed: boom/.test(warnings()));
  });
});
