// kernel/concerns: which kernel events lead to a look at the plan, or to another plan.
import t from "tap";
import { concernOf, isAboutTable, type Scope } from "../../../src/kernel/concerns.js";
import { parsePrefix } from "../../../src/net/prefix.js";
import { encodeAddressAdd } from "../../../src/netlink/addr.js";
import { encodeLinkChange, NO_SETTINGS } from "../../../src/netlink/link.js";
import { encodeMessage, LITTLE_ENDIAN, MessageType } from "../../../src/netlink/message.js";
import { encodeFdbSet, encodeNeighborSet } from "../../../src/netlink/neigh.js";
import { encodeRouteAdd, encodeRouteRemoval } from "../../../src/netlink/route.js";

const OWN = 7;
const UNDERLAY = 2;
const OTHER = 5;
const SCOPE: Scope = {
  ownIndexes: new Set([OWN]),
  linkNames: new Set(["flannel.1", "eth0"]),
  linkIndexes: new Set([OWN, UNDERLAY]),
  networks: ["10.55.0.0/16"].map(parsePrefix).filter((prefix) => prefix !== undefined),
};

/** A request as the event that tells of it: the same bytes under the type of an event. */
function event(request: Uint8Array, type?: number): Uint8Array {
  const bytes = request.slice();
  if (type !== undefined) new DataView(bytes.buffer).setUint16(4, type, LITTLE_ENDIAN);
  return bytes;
}

function linkEvent(index: number, name: string): Uint8Array {
  return event(encodeLinkChange(0, index, { ...NO_SETTINGS, name }), MessageType.newLink);
}

const concerns = (bytes: Uint8Array): string => concernOf(bytes, SCOPE).join(" ");

t.test("neighbours and forwarding entries concern the plan on our devices, nobody elsewhere", async (t) => {
  const mac = "02:00:00:00:00:02";
  for (const [linkIndex, concern] of [
    [OWN, "plan"],
    [UNDERLAY, ""],
  ] as const) {
    t.equal(concerns(event(encodeNeighborSet(0, { linkIndex, address: "10.55.2.0", macAddress: mac }))), concern);
    t.equal(concerns(event(encodeFdbSet(0, { linkIndex, macAddress: mac, endpoint: "192.168.50.2" }))), concern);
  }
});

t.test("our links concern the plan, the underlay's plan and host, any other the host", async (t) => {
  t.equal(concerns(linkEvent(OWN, "renamed")), "plan");
  t.equal(concerns(linkEvent(99, "flannel.1")), "plan host", "a new device of our name");
  t.equal(concerns(linkEvent(UNDERLAY, "eth0")), "plan host");
  t.equal(concerns(linkEvent(OTHER, "docker0")), "host");
});

t.test("addresses concern the plan on our devices, the host elsewhere", async (t) => {
  t.equal(concerns(event(encodeAddressAdd(0, OWN, "10.55.1.0/32"))), "plan");
  t.equal(concerns(event(encodeAddressAdd(0, UNDERLAY, "192.168.50.9/24"))), "host");
});

t.test("routes concern the plan within the Network, else the host unless they are a hopsackd's", async (t) => {
  const route = { linkIndex: UNDERLAY, gateway: "192.168.50.1", metric: 0 };
  const foreign = (prefix: string) => event(encodeRouteRemoval(0, { ...route, prefix, protocol: 3 }));
  t.equal(concerns(foreign("10.55.3.0/24")), "plan");
  t.equal(concerns(foreign("10.0.0.0/8")), "plan", "wider than the Network");
  t.equal(concerns(foreign("172.16.0.0/12")), "host");
  t.equal(concerns(foreign("0.0.0.0/0")), "host");
  t.equal(concerns(event(encodeRouteAdd(0, { ...route, prefix: "10.77.1.0/24", isOnLink: false }))), "");
});

t.test("what is no message, or nothing known, concerns nobody", async (t) => {
  t.equal(concerns(new Uint8Array()), "");
  t.equal(concerns(encodeMessage({ type: MessageType.newLink, flags: 0, sequence: 0 }, new Uint8Array(16), [])), "");
  t.equal(concerns(encodeMessage({ type: MessageType.newRoute, flags: 0, sequence: 0 }, new Uint8Array(2), [])), "");
});

t.test("an nftables event names its table", async (t) => {
  const about = (name: string) =>
    encodeMessage({ type: 0xa02, flags: 0, sequence: 0 }, new Uint8Array(4), [
      { type: 1, value: new TextEncoder().encode(`${name}\0`) },
    ]);
  t.equal(isAboutTable(about("hopsack-flannel0"), "hopsack-flannel0"), true);
  t.equal(isAboutTable(about("hopsack-flannel"), "hopsack-flannel0"), false);
  t.equal(isAboutTable(new Uint8Array(3), "hopsack-flannel0"), false);
});
