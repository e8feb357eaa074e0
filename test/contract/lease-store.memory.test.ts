// The memory store keeps the contract.
import { MemoryLeaseStore, MemoryState } from "../../src/store/memory.js";
import {
  administrationContract,
  type LeasingHarness,
  leasingContract,
  TTL_SECONDS,
  watchingContract,
} from "./lease-store.js";
import { ManualClock, manualTime } from "./manual-clock.js";

async function make(_t: unknown, configText: string): Promise<LeasingHarness> {
  const state = new MemoryState(configText);
  const clock = new ManualClock();
  return {
    ...manualTime(clock),
    open: () => new MemoryLeaseStore(state, TTL_SECONDS, clock),
    put: async (lease) => state.put(lease),
    remove: async (lease) => state.remove(lease),
  };
}

watchingContract("memory", make);
leasingContract("memory", make);
administrationContract("memory", make);
