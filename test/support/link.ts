// A link as the kernel would tell of it, for tests that need one and care for a part of it.
import type { Link } from "../../src/netlink/link.js";

/** Up, with the MTU of an Ethernet, and nothing else. */
export function linkOf(index: number, name: string, differences: Partial<Link> = {}): Link {
  return {
    index,
    name,
    mtuBytes: 1500,
    isUp: true,
    isRunning: true,
    isLoopback: false,
    kind: null,
    vxlan: null,
    ipip: null,
    alias: null,
    hardwareAddress: null,
    masterIndex: null,
    txQueueLength: 1000,
    stats: null,
    ...differences,
  };
}
