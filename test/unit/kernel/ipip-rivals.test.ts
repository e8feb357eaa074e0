// kernel/ipip-rivals: who else would take the packets, in the words of /proc/net/raw.
import { endianness } from "node:os";
import t from "tap";
import { findIpipRival } from "../../../src/kernel/ipip-rivals.js";
import type { Link } from "../../../src/netlink/link.js";
import { linkOf } from "../../support/link.js";

const LINK = linkOf(5, "tunl0", { mtuBytes: 1480, kind: "ipip" });
const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
/** A socket as the kernel lists it: address as a number of this machine, IP protocol in the place of the port. */
const row = (address: string, protocol: string) =>
  `${HEAD}\n  4: ${address}:${protocol} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0\n`;
const OURS = endianness() === "LE" ? "0A32A8C0" : "C0A8320A"; // 192.168.50.10

const find = (changes: { links?: readonly Link[]; rawSockets?: string }) =>
  findIpipRival({ links: [], rawSockets: HEAD, address: "192.168.50.10", deviceName: "flannel0", ...changes });

t.test("nobody else: no error", async (t) => {
  t.equal(find({}), null);
  t.equal(find({ rawSockets: "" }), null, "a kernel that lists none");
});

t.test("a device of the kernel's that is up takes them too; one that is down or ours does not count", async (t) => {
  t.match(find({ links: [LINK] }), {
    code: "DEVICE_BUSY",
    message: /^the kernel's device tunl0 takes .* ip link set tunl0 down, or start without --ipip-engine userspace$/,
  });
  const others: Partial<Link>[] = [{ isUp: false }, { alias: "hopsack flannel0" }, { kind: "tun" }];
  for (const changes of others) t.equal(find({ links: [{ ...LINK, ...changes }] }), null, JSON.stringify(changes));
});

t.test("a raw socket of IP protocol 4 on our address, or on all", async (t) => {
  t.match(find({ rawSockets: row(OURS, "0004") }), {
    code: "PORT_TAKEN",
    message: /on 192\.168\.50\.10 \(IP protocol 4\)/,
  });
  t.match(find({ rawSockets: row("00000000", "0004") }), { code: "PORT_TAKEN", message: /on 0\.0\.0\.0/ });
  t.equal(find({ rawSockets: row(OURS, "0001") }), null, "somebody's ping");
  t.equal(find({ rawSockets: row("0100007F", "0004") }), null, "on another address");
});
