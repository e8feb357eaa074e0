// Whose bytes the packet threads, and the eBPF programs, count where: each peer of the table has a slot of its own while there are any, those that
// come later share the last one. A slot stays with its peer for as long as the peer is in the table.

const WORDS_PER_CACHE_LINE = 8;
const DIRECTIONS = 2;

/** Bytes of inner packets since the peer came into the table. */
export interface PeerBytes {
  readonly sent: number;
  readonly received: number;
}

export interface PeerBytesReading {
  /** By the address that its packets are sent to. */
  readonly peers: ReadonlyMap<string, PeerBytes>;
  /** All the others together, since the pump was opened. */
  readonly others: PeerBytes;
}

export const NO_BYTES: PeerBytes = { sent: 0, received: 0 };

interface Slot {
  readonly index: number;
  /** What stood there when the peer got it. */
  readonly before: PeerBytes;
}

export class PeerSlots {
  /** Counted into by the packet threads (SharedCounters): first half sent, second half received. */
  readonly words: BigUint64Array;
  /** What others count in the same slots. */
  alsoCounted: (slot: number) => PeerBytes = () => NO_BYTES;
  readonly #limit: number;
  readonly #slots = new Map<string, Slot>();
  /** The one that has been free for longest goes first: a thread may still count for a peer that has just left. */
  readonly #free: number[];

  /** @param limit how many peers get a slot of their own */
  constructor(limit: number) {
    this.#limit = limit;
    this.#free = Array.from({ length: limit }, (_, index) => index);
    // A whole line lies between the halves: two threads that write into one line would slow each other down.
    const half = (Math.ceil((limit + 1) / WORDS_PER_CACHE_LINE) + 1) * WORDS_PER_CACHE_LINE;
    this.words = new BigUint64Array(new SharedArrayBuffer(DIRECTIONS * half * BigUint64Array.BYTES_PER_ELEMENT));
  }

  /** How many there are, that of all others included. */
  get count(): number {
    return this.#limit + 1;
  }

  /** The peers of the next table. */
  assign(addresses: ReadonlySet<string>): void {
    for (const [address, { index }] of this.#slots) {
      if (addresses.has(address)) continue;
      this.#slots.delete(address);
      this.#free.push(index);
    }
    for (const address of addresses) {
      if (this.#slots.has(address)) continue;
      const index = this.#free.shift();
      if (index === undefined) return;
      this.#slots.set(address, { index, before: this.#read(index) });
    }
  }

  slotOf(address: string): number {
    return this.#slots.get(address)?.index ?? this.#limit;
  }

  read(): PeerBytesReading {
    const peers = new Map<string, PeerBytes>();
    for (const [address, { index, before }] of this.#slots) {
      const now = this.#read(index);
      peers.set(address, { sent: now.sent - before.sent, received: now.received - before.received });
    }
    return { peers, others: this.#read(this.#limit) };
  }

  #read(index: number): PeerBytes {
    const word = (at: number): number => Number(Atomics.load(this.words, at));
    const also = this.alsoCounted(index);
    return {
      sent: word(index) + also.sent,
      received: word(this.words.length / DIRECTIONS + index) + also.received,
    };
  }
}
