// What reaches the journal of a daemon that runs as a service. A socket in the place of journald's stands for it; whether the real one
// shows it is not tried here.
import { mkdirSync, rmSync } from "node:fs";
import t, { type Test } from "tap";
import { loadAddon } from "../../src/addon.js";
import { Daemon, makeHost, withDaemons } from "../support/hopsackd.js";
import { until } from "../support/netns.js";
import { Place } from "../support/place.js";

const JOURNAL = "/run/systemd/journal";
/** As the service manager does it: standard output and error are the socket that JOURNAL_STREAM names. */
const AS_SERVICE = ["sh", "-c", 'exec 2>&1; JOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/1) exec "$@"', "sh"];

/** Entries as they come in, one text each. */
function standIn(t: Test): string[] {
  mkdirSync(JOURNAL, { recursive: true });
  const socket = new (loadAddon().NotifySocket)(`${JOURNAL}/socket`);
  const entries: string[] = [];
  const timer = setInterval(() => {
    for (let entry = socket.receive(); entry !== null; entry = socket.receive()) entries.push(entry.text);
  }, 2);
  t.teardown(() => {
    clearInterval(timer);
    socket.close();
    rmSync(JOURNAL, { recursive: true });
  });
  return entries;
}

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("a", "192.168.50.10");

  t.test("a service's events are entries with fields, and nothing goes to standard output", async (t) => {
    const place = new Place(t);
    const entries = standIn(t);
    const daemon = new Daemon(host, place.flags(host), AS_SERVICE);
    t.teardown(() => daemon.stop());
    const find = (event: string): string | undefined =>
      entries.find((text) => text.includes(`\nHOPSACK_EVENT=${event}\n`));
    await until("the entry ready", () => find("ready") !== undefined);
    const entry = find("lease_acquired") ?? "";
    t.match(entry, /^MESSAGE=lease_acquired lease=10\.244\.\d+\.0-24 publicIp=192\.168\.50\.10 /);
    t.match(entry, "\nPRIORITY=6\nSYSLOG_IDENTIFIER=hopsackd\n");
    t.match(entry, "\nHOPSACK_PUBLIC_IP=192.168.50.10\n");
    t.strictSame(daemon.lines, []);
  });

  t.test("where no journal listens, the lines go to standard output", async (t) => {
    const place = new Place(t);
    const daemon = new Daemon(host, place.flags(host), AS_SERVICE);
    t.teardown(() => daemon.stop());
    t.match(await daemon.logged("ready"), { level: "info", event: "ready" });
  });

  t.test("a start that fails is an error in the journal", async (t) => {
    const place = new Place(t);
    const daemon = new Daemon(host, place.flags(host, "--iface", "missing0"), [
      "sh",
      "-c",
      'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/2) exec "$@"',
      "sh",
    ]);
    const { status, stderr } = await daemon.ended;
    t.equal(status, 1);
    t.match(stderr, /^<3>hopsackd: .*missing0/);
  });
});
