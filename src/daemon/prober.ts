// Asks the daemons of all peers, one after the other, whether packets arrive, and answers theirs. What it costs is bounded
// both ways: so many questions a second however many peers there are, and so many datagrams heard, whoever sends them.
import { randomBytes } from "node:crypto";
import type { Lease } from "../lease/lease.js";
import { answerTo, encodeQuestion, parseProbe } from "../wire/probe.js";
import { Bell } from "./bell.js";
import type { Clock } from "./clock.js";
import { type HearProbe, PROBE_PORT, type ProbeSocket } from "./probe-socket.js";
import { NOTHING_KNOWN, PeerReach, type Reach } from "./reach.js";
import type { Trouble } from "./trouble.js";

const INTERVAL_MS = 5000;
/** One round wakes this thread once, and the answers as a rule once more: that is most of what a question costs. */
const ROUND_PAUSE_MS = 1000;
/** Fifteen peers are asked every five seconds; a thousand, every five and a half minutes. */
const ROUND_LIMIT = 3;
/** A peer that has just appeared may not know this host yet, and would count its packets as those of a stranger. */
const FIRST_QUESTION_MS = 1000;
/** Whoever sends more than this is not heard until the second is over. */
const HEARD_LIMIT = 1000;
const HEARD_WINDOW_MS = 1000;
/** A predecessor may need a moment to let go of the port. */
const QUIET_TRIES = 3;

export interface ProberParts {
  readonly clock: Clock;
  readonly trouble: Pick<Trouble, "note" | "over">;
  /** @throws PORT_TAKEN, NO_ADDRESS */
  openSocket(address: string, port: number, hear: HearProbe): Promise<ProbeSocket>;
}

/** Whom to ask. */
export interface Company {
  /** Where this host is asked; null: in this mode nobody is. */
  readonly ownAddress: string | null;
  readonly peers: readonly Lease[];
  addressOf(peer: Lease): string | null;
}

export class Prober {
  readonly #parts: ProberParts;
  readonly #news = new Bell();
  #company: Company = { ownAddress: null, peers: [], addressOf: () => null };
  #isCompanyNew = false;
  #byAddress = new Map<string, PeerReach>();
  #byLease = new Map<Lease, PeerReach>();
  /** Each in the order in which they are due. */
  readonly #fresh = new Set<PeerReach>();
  readonly #asked = new Set<PeerReach>();
  /** Of those asked, who owes an answer that would decide something: asked again before it is everybody's turn. */
  readonly #awaited = new Set<PeerReach>();
  #socket: { readonly address: string; readonly handle: ProbeSocket } | null = null;
  #failedTries = 0;
  #heard = { since: 0, count: 0 };
  #deafUntil = 0;

  constructor(parts: ProberParts) {
    this.#parts = parts;
  }

  /** Takes note; the loop in run() follows. */
  follow(company: Company): void {
    this.#company = company;
    this.#isCompanyNew = true;
    this.#news.ring();
  }

  /** Where this host answers; null: nowhere at the moment. */
  get address(): string | null {
    return this.#socket?.address ?? null;
  }

  /** null: in this mode nobody is asked. */
  reachOf(peer: Lease): Reach | null {
    if (this.#company.ownAddress === null) return null;
    return this.#byLease.get(peer)?.report ?? NOTHING_KNOWN;
  }

  /** Ends by the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    try {
      for (;;) {
        this.#meetCompany();
        await this.#listen();
        this.#askRound();
        await clock.sleep(ROUND_PAUSE_MS, signal);
        await this.#news.within(Math.max(0, this.#nextAt() - clock.monotonic()), clock, signal);
      }
    } finally {
      this.#closeSocket();
    }
  }

  /** Who is known already stays as known as before. */
  #meetCompany(): void {
    if (!this.#isCompanyNew) return;
    this.#isCompanyNew = false;
    const { peers, addressOf } = this.#company;
    const before = this.#byAddress;
    this.#byAddress = new Map();
    this.#byLease = new Map();
    const dueAt = this.#parts.clock.monotonic() + FIRST_QUESTION_MS;
    for (const peer of peers) {
      const address = addressOf(peer);
      if (address === null) continue;
      const reach = before.get(address) ?? new PeerReach(address, dueAt);
      if (!before.has(address)) this.#fresh.add(reach);
      before.delete(address);
      this.#byAddress.set(address, reach);
      this.#byLease.set(peer, reach);
    }
    for (const gone of before.values())
      for (const queue of [this.#fresh, this.#asked, this.#awaited]) queue.delete(gone);
  }

  async #listen(): Promise<void> {
    const { ownAddress } = this.#company;
    const { clock, trouble, openSocket } = this.#parts;
    if (this.#socket !== null && this.#socket.address !== ownAddress) this.#closeSocket();
    if (this.#socket !== null || ownAddress === null || clock.monotonic() < this.#deafUntil) return;
    try {
      const handle = await openSocket(ownAddress, PROBE_PORT, (datagram, from) => this.#hear(datagram, from));
      this.#socket = { address: ownAddress, handle };
      this.#failedTries = 0;
      trouble.over();
    } catch (error) {
      this.#deafUntil = clock.monotonic() + HEARD_WINDOW_MS;
      if (++this.#failedTries >= QUIET_TRIES) trouble.note(error);
    }
  }

  #askRound(): void {
    const now = this.#parts.clock.monotonic();
    for (let n = 0; n < ROUND_LIMIT; n++) {
      const reach = this.#next(now);
      if (reach === null || reach.dueAt > now) return;
      this.#ask(reach, now);
    }
  }

  #ask(reach: PeerReach, now: number): void {
    if (this.#socket === null) return;
    const token = randomBytes(8).readBigUInt64BE();
    reach.asked(token, now);
    reach.dueAt = now + INTERVAL_MS;
    this.#fresh.delete(reach);
    for (const queue of [this.#asked, this.#awaited]) queue.delete(reach);
    this.#asked.add(reach);
    if (reach.isUndecided) this.#awaited.add(reach);
    this.#socket.handle.send(encodeQuestion(token), reach.address);
  }

  #hear(datagram: Uint8Array, from: { readonly address: string; readonly port: number }): void {
    const { clock } = this.#parts;
    if (!this.#mayHear()) return;
    const probe = parseProbe(datagram);
    const reach = this.#byAddress.get(from.address);
    if (probe === undefined || reach === undefined) return;
    if (probe.kind === "answer") {
      if (reach.answered(probe.token, clock.monotonic(), clock.now())) this.#awaited.delete(reach);
    } else {
      reach.heard(clock.now());
      this.#socket?.handle.send(answerTo(datagram), from.address, from.port);
    }
  }

  /** Closes the socket when too much arrives: from then on the kernel turns it away, and this thread does other work. */
  #mayHear(): boolean {
    const now = this.#parts.clock.monotonic();
    if (now - this.#heard.since >= HEARD_WINDOW_MS) this.#heard = { since: now, count: 0 };
    if (++this.#heard.count <= HEARD_LIMIT) return true;
    this.#deafUntil = this.#heard.since + HEARD_WINDOW_MS;
    this.#closeSocket();
    this.#news.ring();
    return false;
  }

  #closeSocket(): void {
    this.#socket?.handle.close();
    this.#socket = null;
  }

  /** When there is something to do. */
  #nextAt(): number {
    const now = this.#parts.clock.monotonic();
    const dueAt = this.#next(now)?.dueAt ?? Number.MAX_SAFE_INTEGER;
    const isWaiting = this.#socket === null && this.#company.ownAddress !== null;
    const nextAt = isWaiting ? this.#deafUntil : dueAt;
    return Math.min(nextAt, now + INTERVAL_MS);
  }

  #next(now: number): PeerReach | null {
    const [awaited] = this.#awaited;
    if (awaited !== undefined && awaited.dueAt <= now) return awaited;
    const [fresh] = this.#fresh;
    const [asked] = this.#asked;
    if (fresh === undefined || asked === undefined) return fresh ?? asked ?? null;
    return fresh.dueAt <= asked.dueAt ? fresh : asked;
  }
}
