// plan/diff-links: which devices are made, replaced, set right and removed.
import t from "tap";
import { objectOf } from "../../../src/netlink/change.js";
import type { IpipParameters } from "../../../src/netlink/ipip.js";
import type { Link } from "../../../src/netlink/link.js";
import type { VxlanParameters } from "../../../src/netlink/vxlan.js";
import { linkChanges } from "../../../src/plan/diff-links.js";
import type { LinkPlan, VxlanLinkPlan } from "../../../src/plan/plan.js";
import { linkOf } from "../../support/link.js";

const ALIAS = "hopsack flannel0";
const MAC = "02:00:00:00:00:01";
const PLAN: VxlanLinkPlan = {
  kind: "vxlan",
  name: "flannel.1",
  mtuBytes: 1450,
  macAddress: MAC,
  vni: 1,
  port: 8472,
  localAddress: "192.168.50.10",
  underlay: "eth0",
  isLearning: false,
  isGroupPolicy: false,
};
const PARAMETERS: VxlanParameters = {
  vni: 1,
  port: 8472,
  localAddress: "192.168.50.10",
  underlayIndex: 2,
  remoteAddress: null,
  isLearning: false,
  hasUdpChecksum: true,
  isGroupPolicy: false,
  isExternal: false,
};

const link = (index: number, name: string, differences: Partial<Link> = {}): Link =>
  linkOf(index, name, { mtuBytes: 1450, hardwareAddress: MAC, ...differences });

const ETH0 = link(2, "eth0");

function device(differences: Partial<Link> = {}, parameters: Partial<VxlanParameters> = {}): Link {
  const vxlan = { ...PARAMETERS, ...parameters };
  return link(7, "flannel.1", { kind: "vxlan", alias: ALIAS, vxlan, ...differences });
}

/** @param found the links as the plan's names lead to them; by default those of the same name */
function diff(links: readonly Link[], plans: readonly LinkPlan[] = [PLAN], found = links): string[] {
  const byName = new Map(found.map((link) => [link.name, link]));
  return linkChanges(links, plans, byName, ALIAS).changes.map((change) => `${change.kind} ${objectOf(change)}`);
}

t.test("a device that is as planned needs nothing", async (t) => {
  t.strictSame(diff([ETH0, device()]), []);
});

t.test("a device that is missing is made, and nothing can be put on it yet", async (t) => {
  t.strictSame(diff([ETH0]), ["add-link flannel.1 vni 1 port 8472"]);
  t.strictSame([...linkChanges([ETH0], [PLAN], new Map([["eth0", ETH0]]), ALIAS).unusable], ["flannel.1"]);
});

t.test("without the link that is to carry it no device is made or replaced", async (t) => {
  t.strictSame(diff([]), []);
  t.strictSame(diff([device()]), []);
});

t.test("name, MTU, MAC, mark and state are set in place", async (t) => {
  const wrong = device({ mtuBytes: 1400, isUp: false, alias: null, hardwareAddress: "02:00:00:00:00:99" });
  t.strictSame(diff([ETH0, wrong]), [`set-link flannel.1 up mtu 1450 alias "${ALIAS}" address ${MAC}`]);
  const renamed = device({ name: "foo" });
  t.strictSame(diff([ETH0, renamed], [PLAN], [ETH0, { ...renamed, name: "flannel.1" }]), []);
  const found = new Map([
    ["eth0", ETH0],
    ["flannel.1", renamed],
  ]);
  const { changes } = linkChanges([ETH0, renamed], [PLAN], found, ALIAS);
  t.strictSame(changes.map(objectOf), ["foo name flannel.1"]);
});

t.test("any other difference replaces the device", async (t) => {
  const differences: Partial<VxlanParameters>[] = [
    { vni: 2 },
    { port: 4789 },
    { localAddress: "192.168.50.99" },
    { underlayIndex: 3 },
    { isLearning: true },
    { remoteAddress: "239.1.1.1" },
    { hasUdpChecksum: false },
    { isGroupPolicy: true },
    { isExternal: true },
  ];
  for (const parameters of differences) {
    t.strictSame(
      diff([ETH0, device({}, parameters)]),
      ["remove-link flannel.1", "add-link flannel.1 vni 1 port 8472"],
      JSON.stringify(parameters),
    );
  }
});

t.test("a device of another kind in the way is not removed: the kernel refuses the new one", async (t) => {
  t.strictSame(diff([ETH0, link(9, "flannel.1", { kind: "bridge" })]), ["add-link flannel.1 vni 1 port 8472"]);
});

t.test("VXLAN devices with our mark that are not planned go, before new ones come", async (t) => {
  const stale = device({ index: 8, name: "flannel.9" }, { vni: 9 });
  t.strictSame(diff([ETH0, stale]), ["remove-link flannel.9", "add-link flannel.1 vni 1 port 8472"]);
  t.strictSame(diff([ETH0, device()], []), ["remove-link flannel.1"], "as after a change to another mode");
});

t.test("devices of others stay", async (t) => {
  const others = [
    device({ index: 8, name: "flannel.9", alias: null }),
    device({ index: 9, name: "flannel.8", alias: "hopsack other0" }),
    link(10, "br0", { kind: "bridge", alias: ALIAS }),
  ];
  t.strictSame(diff([ETH0, device(), ...others]), []);
});

const IPIP_PLAN: LinkPlan = {
  ...{ kind: "ipip", name: "flannel.ipip", mtuBytes: 1480, localAddress: "192.168.50.10", isDscpInherited: false },
  fouPort: null,
};
const IPIP_PARAMETERS: IpipParameters = {
  ...{ localAddress: "192.168.50.10", remoteAddress: null, ttl: 0, tos: 0 },
  ...{ hasPathMtuDiscovery: false, fouPort: null, isPlain: true },
};

function ipip(differences: Partial<Link> = {}, parameters: Partial<IpipParameters> = {}): Link {
  const own = { kind: "ipip", alias: ALIAS, mtuBytes: 1480, hardwareAddress: null };
  return link(8, "flannel.ipip", { ...own, ipip: { ...IPIP_PARAMETERS, ...parameters }, ...differences });
}

t.test(
  "an ipip device is made, set right in place, adopted without mark, and goes when it is not planned",
  async (t) => {
    t.strictSame(diff([], [IPIP_PLAN]), ["add-ipip-link flannel.ipip local 192.168.50.10"]);
    t.strictSame(diff([ipip()], [IPIP_PLAN]), []);
    const flannels = ipip({ alias: null, mtuBytes: 1400, isUp: false });
    t.strictSame(diff([flannels], [IPIP_PLAN]), [`set-link flannel.ipip up mtu 1480 alias "${ALIAS}"`]);
    t.strictSame(diff([ipip()], []), ["remove-link flannel.ipip"]);
    t.strictSame(diff([ipip({ alias: null })], []), [], "somebody else's");
  },
);

t.test("any other difference replaces an ipip device", async (t) => {
  const differences: Partial<IpipParameters>[] = [
    { localAddress: null },
    { remoteAddress: "192.168.50.11" },
    { ttl: 64 },
    { tos: 1 },
    { hasPathMtuDiscovery: true },
    { isPlain: false },
    { fouPort: 8285 },
  ];
  for (const parameters of differences) {
    t.strictSame(
      diff([ipip({}, parameters)], [IPIP_PLAN]),
      ["remove-link flannel.ipip", "add-ipip-link flannel.ipip local 192.168.50.10"],
      JSON.stringify(parameters),
    );
  }
});
