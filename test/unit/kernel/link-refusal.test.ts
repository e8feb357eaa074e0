// kernel/link-refusal: what a kernel that refuses a device is understood to say. Real refusals: test/netns/vxlan.test.ts
import t from "tap";
import { HopsackError } from "../../../src/errors.js";
import { explainLink } from "../../../src/kernel/link-refusal.js";
import type { Change } from "../../../src/netlink/change.js";
import { NO_SETTINGS } from "../../../src/netlink/link.js";

const vxlan = {
  vni: 1,
  port: 8472,
  localAddress: "192.168.50.1",
  underlayIndex: 2,
  isLearning: false,
  hasUdpChecksum: true,
  isGroupPolicy: false,
};
const ADD: Change = {
  kind: "add-link",
  linkName: "flannel.1",
  mtuBytes: 1450,
  hardwareAddress: "02:00:00:00:00:01",
  vxlan,
};
const UP: Change = { kind: "set-link", linkIndex: 7, linkName: "flannel.1", ...NO_SETTINGS, isUp: true };

function refused(errno: string): HopsackError {
  const cause = Object.assign(new Error(errno), { code: errno });
  return new HopsackError("KERNEL_REFUSED", `the kernel refused (${errno})`, { cause });
}

t.test("a kernel without VXLAN is told apart, with the cure", async (t) => {
  t.match(explainLink(ADD, refused("EOPNOTSUPP")), {
    code: "KERNEL_REFUSED",
    message: /^the kernel refused \(EOPNOTSUPP\); this kernel has no VXLAN; load it with: modprobe vxlan/,
  });
});

t.test("a taken name or VNI is DEVICE_BUSY, a taken port PORT_TAKEN", async (t) => {
  t.match(explainLink(ADD, refused("EEXIST")), { code: "DEVICE_BUSY", message: /name flannel\.1 or the VNI 1/ });
  t.match(explainLink(UP, refused("EADDRINUSE")), { code: "PORT_TAKEN", message: /Backend\.Port/ });
});

t.test("a kernel without ipip is told apart, with the cure, and a name or address that is taken", async (t) => {
  const ipip = { localAddress: "192.168.50.1", tos: 0, fouPort: null };
  const add: Change = { kind: "add-ipip-link", linkName: "tunl0", mtuBytes: 1480, ipip };
  t.match(explainLink(add, refused("EOPNOTSUPP")), {
    code: "KERNEL_REFUSED",
    message: /this kernel has no ipip; load it with: modprobe ipip, or start without --ipip-engine kernel$/,
  });
  t.match(explainLink(add, refused("EEXIST")), {
    code: "DEVICE_BUSY",
    message: /the name tunl0, or .* --ipip-device$/,
  });
});

t.test("a device for FOU names its own flags, and a kernel whose FOU carries no tunnels", async (t) => {
  const ipip = { localAddress: "192.168.50.1", tos: 0, fouPort: 8285 };
  const add: Change = { kind: "add-ipip-link", linkName: "flannel0", mtuBytes: 1472, ipip };
  t.match(explainLink(add, refused("EINVAL")), { code: "KERNEL_REFUSED", message: /CONFIG_NET_FOU_IP_TUNNELS/ });
  t.match(explainLink(add, refused("EOPNOTSUPP")), { message: /or start without --engine fou$/ });
  t.match(explainLink(add, refused("EEXIST")), { code: "DEVICE_BUSY", message: /the name flannel0, or .* --device$/ });
});

t.test(
  "a FOU port whose number is taken is PORT_TAKEN, with who may have it; without the module the cure is said",
  async (t) => {
    const add: Change = { kind: "add-fou-port", port: 8285, localAddress: "192.168.50.1", protocol: 4, isPlain: true };
    t.match(explainLink(add, refused("EADDRINUSE")), {
      code: "PORT_TAKEN",
      message: /another program, or to a FOU port .* ss -lunp sport = :8285, and: ip fou show/,
    });
    t.match(explainLink(add, refused("ENOENT")), { code: "KERNEL_REFUSED", message: /modprobe fou$/ });
  },
);

t.test("any other refusal stays as it is", async (t) => {
  for (const [change, errno] of [
    [ADD, "EPERM"],
    [UP, "EEXIST"],
    [{ kind: "remove-link", linkIndex: 7, linkName: "flannel.1" }, "EOPNOTSUPP"],
  ] as const) {
    const error = refused(errno);
    t.equal(explainLink(change, error), error);
  }
});
