import t from "tap";
import { type Change, encodeChange, objectOf } from "../../../src/netlink/change.js";
import { MessageFlag, MessageType, parseMessage } from "../../../src/netlink/message.js";

const link = { linkIndex: 4, linkName: "flannel0" };
const route = { ...link, prefix: "10.55.0.0/16", gateway: null, metric: null };
const CHANGES: [Change, number, string][] = [
  [
    { kind: "set-link", ...link, isUp: true, mtuBytes: 1472, txQueueLength: 1000 },
    MessageType.setLink,
    "flannel0 up mtu 1472 txqueuelen 1000",
  ],
  [
    { kind: "set-link", ...link, isUp: null, mtuBytes: null, txQueueLength: 5 },
    MessageType.setLink,
    "flannel0 txqueuelen 5",
  ],
  [{ kind: "add-address", ...link, address: "10.55.1.0/32" }, MessageType.newAddress, "10.55.1.0/32 dev flannel0"],
  [{ kind: "remove-address", ...link, address: "fd55::/128" }, MessageType.delAddress, "fd55::/128 dev flannel0"],
  [{ kind: "add-route", ...route }, MessageType.newRoute, "10.55.0.0/16 dev flannel0"],
  [
    { kind: "replace-route", ...route, gateway: "10.9.0.2" },
    MessageType.newRoute,
    "10.55.0.0/16 via 10.9.0.2 dev flannel0",
  ],
  [{ kind: "remove-route", ...route }, MessageType.delRoute, "10.55.0.0/16 dev flannel0"],
];

t.test("every change is a request that is answered, and has words for people", async (t) => {
  for (const [change, type, words] of CHANGES) {
    const message = parseMessage(encodeChange(77, change));
    t.match(message, { type, sequence: 77 }, change.kind);
    t.equal((message?.flags ?? 0) & 0xff, MessageFlag.request | MessageFlag.ack, change.kind);
    t.equal(objectOf(change), words);
  }
});
