// What the kernel's shortcut compares at once, of what the pump asks field by field; and what it asks the kernel.
import t from "tap";
import type { HeaderCheck, NativeAddon } from "../../../src/addon.js";
import {
  type AcceleratedPump,
  Accelerator,
  expectedHeader,
  type FindPaths,
} from "../../../src/dataplane/accelerator.js";
import { encodePaths } from "../../../src/dataplane/fib-records.js";
import { HopsackError } from "../../../src/errors.js";
import type { Path } from "../../../src/netlink/route.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const reason = "wrong_vni";
const CHECKS: readonly HeaderCheck[] = [
  { offset: 0, value: Uint8Array.of(0xff), mask: Uint8Array.of(0x08), reason },
  { offset: 2, value: Uint8Array.of(0), mask: Uint8Array.of(1), reason },
  { offset: 2, value: Uint8Array.of(0xaa, 0xbb), mask: Uint8Array.of(0xff, 0xf0), reason },
  { offset: 5, value: Uint8Array.of(4), mask: Uint8Array.of(0xff), reason, exceptVersion: 6 },
  { offset: 5, value: Uint8Array.of(6), mask: Uint8Array.of(0xff), reason, exceptVersion: 4 },
];

t.test("all fields are in it, each where it lies, and the bits that no field asks for are not", async (t) => {
  const { value, mask } = expectedHeader({ headerBytes: 6, headerChecks: CHECKS }, 4);
  t.equal(hex(mask), "0800fff000ff");
  t.equal(hex(value), "0800aab00004");
});

t.test("a field that is not asked of one family is that of the other", async (t) => {
  const { value } = expectedHeader({ headerBytes: 6, headerChecks: CHECKS }, 6);
  t.equal(hex(value), "0800aab00006");
});

t.test("a wire without a header expects none", async (t) => {
  t.same(expectedHeader({ headerBytes: 0, headerChecks: [] }, 4), { value: new Uint8Array(), mask: new Uint8Array() });
});

t.test("a path is its neighbour and a length that no IP packet exceeds; no path is nothing", async (t) => {
  const paths = encodePaths([
    { neighbor: "192.168.50.1", mtuBytes: 1500 },
    null,
    { neighbor: "10.0.0.2", mtuBytes: 65_536 },
  ]);
  t.equal(hex(paths), "c0a83201dc050000" + "0000000000000000" + "0a000002ffff0000");
});

t.test(
  "the kernel is asked for the paths to new hosts only, and for all when the host's routes have changed",
  async (t) => {
    const asked: (readonly string[])[] = [];
    let isAnswering = true;
    const findPaths = (addresses: readonly string[]): (Path | null)[] => {
      asked.push(addresses);
      if (!isAnswering) throw new HopsackError("KERNEL_REFUSED", "no answer");
      return addresses.map((neighbor) => ({ linkIndex: 2, neighbor, mtuBytes: null }));
    };
    const published: string[] = [];
    const accelerator = openBeside({ protocol: "ipip", findPaths, onPaths: (paths) => published.push(hex(paths)) });
    t.teardown(() => accelerator.close());
    const none = [new Uint8Array(), new Uint8Array(), new Uint8Array(), new Uint8Array()] as const;
    const [first, second] = ["c0a83201dc050000", "c0a83202dc050000"];

    accelerator.publish(none, ["192.168.50.1"]);
    accelerator.publish(none, ["192.168.50.2", "192.168.50.1", "192.168.50.2"]);
    t.strictSame(asked, [["192.168.50.1"], ["192.168.50.2"]]);
    t.strictSame(published, [first, `${second}${first}${second}`]);
    accelerator.measurePaths();
    t.strictSame(asked.at(-1), ["192.168.50.2", "192.168.50.1"]);
    isAnswering = false;
    accelerator.measurePaths();
    t.equal(published.at(-1), "0".repeat(48), "without an answer nothing is the programs'");
    isAnswering = true;
    accelerator.publish(none, ["192.168.50.1"]);
    t.strictSame(asked.at(-1), ["192.168.50.1"], "it is asked again");
  },
);

t.test("what the merging pair drops is known as long as it is there, and remembered", async (t) => {
  let [dropped, isRemoved] = [7, false];
  const pair = {
    sender: { index: 4 },
    receiver: { index: 5, name: "hopgro3b" },
    isWhole: () => true,
    dropped: () => dropped,
    remove: () => {
      isRemoved = true;
    },
  };
  const accelerator = openBeside({ pair });
  t.equal(accelerator.carried().overrun, 7);
  dropped = 8;
  accelerator.close();
  t.ok(isRemoved);
  dropped = 0;
  t.equal(accelerator.carried().overrun, 8);
});

t.test("where pieces arrive that nothing merges, auto takes the pump, and ebpf says so", async (t) => {
  const openMergingPair = () => {
    throw new HopsackError("KERNEL_REFUSED", "no room");
  };
  t.strictSame(openBeside({ engine: "auto", openMergingPair }).report, {
    name: "pump",
    reason: "eth0 does not carry super-packets whole, and only the pump merges what arrives in pieces (no room)",
  });
  t.strictSame(openBeside({ engine: "ebpf", openMergingPair }).report, {
    name: "ebpf",
    reason: "asked for by --engine ebpf; by tcx; nothing merges what arrives in pieces (no room)",
  });
});

t.test("IP-in-IP needs no pair: the kernel merges it before the programs", async (t) => {
  const openMergingPair = () => t.fail("a pair was asked for");
  const reason = "IP-in-IP is merged by the kernel where it arrives; by tcx";
  t.strictSame(openBeside({ engine: "auto", protocol: "ipip", openMergingPair }).report, { name: "ebpf", reason });
});

/** Programs that nothing loads. */
function openBeside({
  findPaths = (addresses) => addresses.map(() => null),
  onPaths = () => {},
  pair,
  openMergingPair = () => pair,
  engine = "ebpf",
  protocol = "udp",
}: {
  readonly findPaths?: FindPaths;
  readonly onPaths?: (paths: Uint8Array) => void;
  readonly pair?: ReturnType<AcceleratedPump["places"]["openMergingPair"]>;
  readonly openMergingPair?: () => unknown;
  readonly engine?: "auto" | "ebpf";
  readonly protocol?: "udp" | "ipip";
}): Accelerator {
  const native = {
    attach: () => {},
    publish: (...parts: readonly Uint8Array[]) => onPaths(parts[4] ?? new Uint8Array()),
    counts: () => ({}),
    close: () => {},
  };
  const addon = {
    Accelerator: class {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: stands for a class of the addon
        return native;
      }
    },
    isEthernet: () => true,
    carriesSuperPackets: () => false,
  } as unknown as NativeAddon;
  const pump = {
    underlay: { address: "192.168.50.9", linkIndex: 2, linkName: "eth0", mtuBytes: 1500 },
    socket: { protocol, port: 8285, headerBytes: 0, headerChecks: [], endsInEthernet: false },
    ...{ engine, naive: false, findPaths, places: { openMergingPair } },
  } as unknown as AcceleratedPump;
  return Accelerator.open(addon, { name: "flannel0", ifIndex: 3 }, { sourcePorts: [8285], peerSlots: 0 }, pump);
}
