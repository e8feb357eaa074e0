import t from "tap";
import { PeerSlots } from "../../../src/dataplane/peer-slots.js";

const LINE_WORDS = 8;

/** As a packet thread does it. */
function count(slots: PeerSlots, address: string, sent: bigint, received: bigint): void {
  const { words } = slots;
  const index = slots.slotOf(address);
  words[index] = (words[index] ?? 0n) + sent;
  words[words.length / 2 + index] = (words[words.length / 2 + index] ?? 0n) + received;
}

t.test("each peer has its own slot while there are any, and those that come later share one", async (t) => {
  const slots = new PeerSlots(2);
  slots.assign(new Set(["a", "b", "c", "d"]));
  count(slots, "a", 1n, 10n);
  count(slots, "b", 2n, 20n);
  count(slots, "c", 3n, 30n);
  count(slots, "d", 4n, 40n);
  const { peers, others } = slots.read();
  t.same(
    [...peers],
    [
      ["a", { sent: 1, received: 10 }],
      ["b", { sent: 2, received: 20 }],
    ],
  );
  t.same(others, { sent: 7, received: 70 });
});

t.test("a peer keeps its slot and its bytes however often the table changes around it", async (t) => {
  const slots = new PeerSlots(3);
  slots.assign(new Set(["a", "b", "c"]));
  count(slots, "b", 5n, 6n);
  const before = slots.slotOf("b");
  slots.assign(new Set(["x", "b", "y"]));
  t.equal(slots.slotOf("b"), before);
  t.same(slots.read().peers.get("b"), { sent: 5, received: 6 });
});

t.test("who gets the slot of a peer that left begins at zero, and so does a peer that comes back", async (t) => {
  const slots = new PeerSlots(1);
  slots.assign(new Set(["a"]));
  count(slots, "a", 100n, 200n);
  slots.assign(new Set(["b"]));
  t.same([...slots.read().peers], [["b", { sent: 0, received: 0 }]]);
  count(slots, "b", 1n, 2n);
  slots.assign(new Set(["a"]));
  t.same([...slots.read().peers], [["a", { sent: 0, received: 0 }]]);
  t.same(slots.read().others, { sent: 0, received: 0 });
});

t.test(
  "the slot that has been free for longest goes first: a thread may still count for who has just left",
  async (t) => {
    const slots = new PeerSlots(3);
    slots.assign(new Set(["a", "b"]));
    const justFreed = slots.slotOf("b");
    slots.assign(new Set(["a"]));
    slots.assign(new Set(["a", "c"]));
    t.not(slots.slotOf("c"), justFreed);
  },
);

t.test("without any slot everything is one sum", async (t) => {
  const slots = new PeerSlots(0);
  slots.assign(new Set(["a", "b"]));
  count(slots, "a", 1n, 2n);
  count(slots, "b", 3n, 4n);
  t.same(slots.read(), { peers: new Map(), others: { sent: 4, received: 6 } });
});

t.test("no cache line holds words of both threads, wherever the memory begins", async (t) => {
  for (const limit of [0, 1, 6, 7, 8, 100]) {
    const { words } = new PeerSlots(limit);
    t.ok(words.length / 2 - limit >= LINE_WORDS, `${limit}`);
  }
});

t.test(
  "what is counted elsewhere in the same slot is the same peer's, but for what stood there before it came",
  async (t) => {
    const slots = new PeerSlots(1);
    const elsewhere = [
      { sent: 7, received: 70 },
      { sent: 1, received: 2 },
    ];
    slots.alsoCounted = (slot) => elsewhere[slot] ?? { sent: 0, received: 0 };
    t.equal(slots.count, elsewhere.length);
    slots.assign(new Set(["a"]));
    count(slots, "a", 100n, 200n);
    elsewhere[0] = { sent: 10, received: 75 };
    t.same([...slots.read().peers], [["a", { sent: 103, received: 205 }]]);
    t.same(slots.read().others, { sent: 1, received: 2 });
  },
);
