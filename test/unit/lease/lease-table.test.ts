// lease/lease-table: what a batch changes, and who the peers are.
import t from "tap";
import { type Lease, type LeaseEvent, leaseKey } from "../../../src/lease/lease.js";
import { LeaseTable } from "../../../src/lease/lease-table.js";

function lease(number: number, changes: Partial<Lease> = {}): Lease {
  return {
    subnet: { family: 4, base: 0x0af40000n + BigInt(number) * 256n, length: 24 },
    subnetV6: null,
    attrs: {
      publicIp: `192.168.50.${number}`,
      publicIpv6: null,
      backendType: "udp",
      backendData: null,
      backendV6Data: null,
      node: `h${number}`,
    },
    expiresAt: 1000,
    ...changes,
  };
}

const added = (lease: Lease): LeaseEvent => ({ kind: "added", lease });
const removed = (lease: Lease): LeaseEvent => ({ kind: "removed", lease });

t.test("tells new, changed and gone leases, but neither renewals nor leases it never had", async (t) => {
  const table = new LeaseTable();
  t.same(table.apply([added(lease(1)), added(lease(2))]), [added(lease(1)), added(lease(2))]);
  t.same(table.apply([added(lease(1, { expiresAt: 2000 }))]), [], "a renewal changes nothing that a plan sees");
  t.equal(table.get(leaseKey(lease(1)))?.expiresAt, 2000, "yet it is remembered");
  const moved = lease(2, { attrs: { ...lease(2).attrs, publicIp: "192.168.50.99" } });
  t.same(table.apply([added(moved)]), [added(moved)]);
  t.same(table.apply([removed(lease(1)), removed(lease(7))]), [removed(lease(1))]);
  t.equal(table.size, 1);
});

t.test("peers are all leases but the own one", async (t) => {
  const table = new LeaseTable();
  table.apply([added(lease(1)), added(lease(2)), added(lease(3))]);
  t.same(table.peers(lease(2, { expiresAt: 5 })), [lease(1), lease(3)]);
});
