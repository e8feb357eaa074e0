// The file store keeps the contract; each daemon is a store of its own on one folder.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { leaseKey } from "../../src/lease/lease.js";
import { formatLeaseFile } from "../../src/lease/lease-json.js";
import { replaceFile } from "../../src/lease/replace-file.js";
import { FileLeaseStore } from "../../src/store/file.js";
import {
  administrationContract,
  type LeasingHarness,
  leasingContract,
  type Tap,
  TTL_SECONDS,
  watchingContract,
} from "./lease-store.js";
import { ManualClock, manualTime } from "./manual-clock.js";

async function make(t: Tap, configText: string): Promise<LeasingHarness> {
  const folder = t.testdir();
  const subnets = join(folder, "subnets");
  await mkdir(subnets);
  await writeFile(join(folder, "config.json"), configText);
  const clock = new ManualClock();
  const options = { folder, leaseTtlSeconds: TTL_SECONDS, netConfigPath: null, clock };
  return {
    ...manualTime(clock),
    open: () => new FileLeaseStore({ ...options, onWarning: (message) => t.fail(message) }),
    put: (lease) => replaceFile(join(subnets, `${leaseKey(lease)}.json`), formatLeaseFile(lease), 0o644),
    remove: (lease) => rm(join(subnets, `${leaseKey(lease)}.json`)),
  };
}

watchingContract("file", make);
leasingContract("file", make);
administrationContract("file", make);
