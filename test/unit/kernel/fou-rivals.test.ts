// kernel/fou-rivals: whose FOU port is in the way of ours.
import t from "tap";
import { findFouRival } from "../../../src/kernel/fou-rivals.js";
import type { FouPort } from "../../../src/netlink/fou.js";
import { linkOf } from "../../support/link.js";

const PORT: FouPort = { port: 8285, localAddress: "192.168.50.10", protocol: 4, isPlain: true };
const DEVICE = linkOf(5, "flannel0", {
  kind: "ipip",
  alias: "hopsack flannel0",
  ipip: {
    ...{ localAddress: "192.168.50.10", remoteAddress: null, ttl: 0, tos: 0 },
    ...{ hasPathMtuDiscovery: false, fouPort: 8285, isPlain: true },
  },
});

const find = (fouPorts: readonly FouPort[], links = [DEVICE]) =>
  findFouRival({ links, fouPorts, wanted: PORT, deviceName: "flannel0" });

t.test("no port, ports of other numbers and of other addresses are in nobody's way", async (t) => {
  t.equal(find([], []), null);
  t.equal(find([{ ...PORT, port: 5555 }], []), null);
  t.equal(find([{ ...PORT, localAddress: "192.168.60.10" }], []), null);
});

t.test("our own port of before is known by our device", async (t) => {
  t.equal(find([PORT]), null);
  for (const changes of [{ alias: null }, { alias: "hopsack other0" }, { ipip: null }]) {
    t.match(find([PORT], [{ ...DEVICE, ...changes }]), { code: "PORT_TAKEN" }, JSON.stringify(changes));
  }
});

t.test("somebody else's is named, with the command that removes it", async (t) => {
  t.match(find([{ ...PORT, localAddress: null }]), {
    code: "PORT_TAKEN",
    message:
      /a FOU port 8285 already \(IP protocol 4\).* remove it with: ip fou del port 8285, or set another Backend\.Port/,
  });
  t.match(find([{ ...PORT, protocol: 47 }], []), {
    message: /\(IP protocol 47\).*ip fou del port 8285 local 192\.168\.50\.10,/,
  });
});
