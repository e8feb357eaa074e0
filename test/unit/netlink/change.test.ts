import t from "tap";
import { encodeChange, objectOf } from "../../../src/netlink/change.js";
import { NO_SETTINGS } from "../../../src/netlink/link.js";
import { MessageFlag, MessageType, parseMessage } from "../../../src/netlink/message.js";

const link = { linkIndex: 4, linkName: "flannel0" };
const route = { ...link, prefix: "10.55.0.0/16", gateway: null, isOnLink: false, metric: null };
const MAC = "02:00:00:00:00:02";
const VXLAN = {
  vni: 1,
  port: 8472,
  localAddress: "192.168.50.1",
  underlayIndex: 2,
  isLearning: false,
  hasUdpChecksum: true,
  isGroupPolicy: false,
};
const IPIP = { localAddress: "192.168.50.1", tos: 0, fouPort: 8285 };
const CHANGES: [Parameters<typeof encodeChange>[1], number, string][] = [
  [
    { kind: "set-link", ...link, ...NO_SETTINGS, isUp: true, mtuBytes: 1472, txQueueLength: 1000 },
    MessageType.setLink,
    "flannel0 up mtu 1472 txqueuelen 1000",
  ],
  [{ kind: "set-link", ...link, ...NO_SETTINGS, txQueueLength: 5 }, MessageType.setLink, "flannel0 txqueuelen 5"],
  [
    { kind: "set-link", ...link, ...NO_SETTINGS, name: "flannel.1", alias: "hopsack x", hardwareAddress: MAC },
    MessageType.setLink,
    `flannel0 name flannel.1 alias "hopsack x" address ${MAC}`,
  ],
  [
    { kind: "add-link", linkName: "flannel.1", mtuBytes: 1450, hardwareAddress: MAC, vxlan: VXLAN },
    MessageType.newLink,
    "flannel.1 vni 1 port 8472",
  ],
  [
    { kind: "add-veth", linkName: "hsk0123456789ab", mtuBytes: 1450, peerName: "eth0", peerNetnsFd: 5, queues: null },
    MessageType.newLink,
    "hsk0123456789ab peer eth0",
  ],
  [
    { kind: "add-ipip-link", linkName: "flannel0", mtuBytes: 1472, ipip: IPIP },
    MessageType.newLink,
    "flannel0 local 192.168.50.1 encap fou port 8285",
  ],
  [{ kind: "remove-link", ...link }, MessageType.delLink, "flannel0"],
  [
    { kind: "set-neighbor", ...link, address: "10.55.2.0", macAddress: MAC },
    MessageType.newNeighbor,
    `10.55.2.0 lladdr ${MAC} dev flannel0`,
  ],
  [{ kind: "remove-neighbor", ...link, address: "10.55.2.0" }, MessageType.delNeighbor, "10.55.2.0 dev flannel0"],
  [
    { kind: "set-fdb", ...link, macAddress: MAC, endpoint: "192.168.50.2" },
    MessageType.newNeighbor,
    `${MAC} dst 192.168.50.2 dev flannel0`,
  ],
  [{ kind: "remove-fdb", ...link, macAddress: MAC }, MessageType.delNeighbor, `${MAC} dev flannel0`],
  [{ kind: "add-address", ...link, address: "10.55.1.0/32" }, MessageType.newAddress, "10.55.1.0/32 dev flannel0"],
  [{ kind: "remove-address", ...link, address: "fd55::/128" }, MessageType.delAddress, "fd55::/128 dev flannel0"],
  [{ kind: "add-route", ...route }, MessageType.newRoute, "10.55.0.0/16 dev flannel0"],
  [
    { kind: "replace-route", ...route, gateway: "10.9.0.2" },
    MessageType.newRoute,
    "10.55.0.0/16 via 10.9.0.2 dev flannel0",
  ],
  [{ kind: "remove-route", ...route, protocol: 85 }, MessageType.delRoute, "10.55.0.0/16 dev flannel0"],
];

t.test("every change is a request that is answered, and has words for people", async (t) => {
  for (const [change, type, words] of CHANGES) {
    const message = parseMessage(encodeChange(77, change));
    t.match(message, { type, sequence: 77 }, change.kind);
    t.equal((message?.flags ?? 0) & 0xff, MessageFlag.request | MessageFlag.ack, change.kind);
    t.equal(objectOf(change), words);
  }
});

t.test("FOU ports are told apart by number and address", async (t) => {
  const key = { port: 8285, localAddress: "192.168.50.1" };
  t.equal(objectOf({ kind: "remove-fou-port", ...key }), "port 8285 local 192.168.50.1");
  t.equal(objectOf({ kind: "remove-fou-port", ...key, localAddress: null }), "port 8285");
});
