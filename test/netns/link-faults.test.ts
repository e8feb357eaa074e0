// What happens to the underlay's card, in every mode: it goes down and up, loses its address and gets it back. The overlay carries again by
// itself, and the log says once what was.
//
//   10.244.1.1 on lo [a 192.168.50.10] ── br0 ── [b 192.168.50.11] 10.244.2.1 on lo
import t from "tap";
import { type Daemon, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { HOST_GW, IPIP, UDP, UDP_EBPF, VXLAN, VXLAN_USERSPACE } from "../support/modes.js";
import { until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

const MODES = [UDP, UDP_EBPF, VXLAN, VXLAN_USERSPACE, IPIP, HOST_GW];
const FLAPS = 5;
const RECOVERY_LIMIT_MS = 40_000;
const ADDRESS = "192.168.50.10/24 dev eth0";

/** Codes of what the daemon said of its underlay, in order; null: that it is over. */
function said({ lines }: Daemon): (string | null)[] {
  return lines
    .filter(({ event, topic }) => topic === "underlay" && event.startsWith("trouble"))
    .map(({ event, code }) => (event === "trouble" ? String(code) : null));
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  ip(a, "addr add 10.244.1.1/32 dev lo");
  ip(b, "addr add 10.244.2.1/32 dev lo");
  const trials = new Trials(import.meta.url, "Faults of the underlay's card, in every mode");
  const carries = (): Promise<void> =>
    until("the overlay carries", () => pings(a, "10.244.2.1") && pings(b, "10.244.1.1"), RECOVERY_LIMIT_MS);

  for (const mode of MODES) {
    t.test(mode.name, async (t) => {
      const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: mode.backend }));
      const [onA] = await place.startAll(t, [a, b], (host) => [...mode.flags(host), "--probe-peers=false"]);
      if (onA === undefined) throw new Error("no daemon");
      await carries();
      const warns = (sentence: RegExp): Promise<void> =>
        until(`a warning: ${sentence}`, () => place.status(a).warnings.some((warning) => sentence.test(warning)));

      for (let flap = 0; flap < FLAPS; flap++) {
        ip(a, "link set eth0 down");
        ip(a, "link set eth0 up");
        ip(a, `addr del ${ADDRESS}`);
        ip(a, `addr add ${ADDRESS}`);
      }
      await carries();

      ip(a, `addr del ${ADDRESS}`);
      await warns(/^the interface eth0 has no usable IPv4 address; give it one /);
      t.notOk(pings(b, "10.244.1.1"), "without an address nothing arrives");
      ip(a, `addr add ${ADDRESS}`);
      await carries();

      ip(a, "link set eth0 down");
      await warns(/^the interface eth0 is down; switch it on /);
      ip(a, "link set eth0 up");
      await carries();
      await until("nothing is left of it", () => place.status(a).warnings.length === 0);

      await until("the log says that it is over", () => said(onA).at(-1) === null);
      const codes = said(onA);
      t.strictSame(
        codes.filter((code, index) => code === codes[index - 1]),
        [],
        "nothing is said twice",
      );
      for (const code of ["NO_ADDRESS", "NO_INTERFACE"]) t.ok(codes.includes(code), `${code}: said`);
      const events = onA.lines.map(({ event }) => event);
      t.notOk(events.includes("device_lost"), "the device is the same");
      t.equal(events.filter((event) => event === "lease_acquired").length, 1, "and so is the lease");
    });
  }

  t.test("what happened, in TRIALS.md", async () => {
    trials.row({
      tried: "the card down and up, its address taken away and given back, five times each in a burst",
      happened:
        "the overlay carries again, with the same device and lease: udp, vxlan and ipip by every engine, host-gw",
    });
    trials.row({
      tried: "the card without its address, or down, until somebody sees",
      happened: "`trouble` with its cure, once; `trouble_over` and the overlay carries when it is back",
    });
  });
});
