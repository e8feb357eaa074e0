// The static store keeps the part of the contract that does not give out subnets.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Lease, leaseKey } from "../../src/lease/lease.js";
import { replaceFile } from "../../src/lease/replace-file.js";
import { formatPrefix } from "../../src/net/prefix.js";
import { StaticLeaseStore } from "../../src/store/static.js";
import { type Tap, type WatchingHarness, watchingContract } from "./lease-store.js";

function entry({ subnet, attrs }: Lease): Record<string, unknown> {
  return { Node: attrs.node, PublicIP: attrs.publicIp, Subnet: formatPrefix(subnet) };
}

async function make(t: Tap, configText: string): Promise<WatchingHarness> {
  const path = join(t.testdir(), "lab.json");
  const leases = new Map<string, Lease>();
  const text = (): string => JSON.stringify({ ...JSON.parse(configText), Hosts: [...leases.values()].map(entry) });
  await writeFile(path, text());
  return {
    asListed: (lease) => lease,
    open: () => new StaticLeaseStore({ path, netConfigPath: null, onWarning: (message) => t.fail(message) }),
    put: async (lease) => {
      leases.set(leaseKey(lease), lease);
      await replaceFile(path, text(), 0o644);
    },
    remove: async (lease) => {
      leases.delete(leaseKey(lease));
      await replaceFile(path, text(), 0o644);
    },
  };
}

watchingContract("static", make);
