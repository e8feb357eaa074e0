import t from "tap";
import type { HearProbe } from "../../../src/daemon/probe-socket.js";
import { Prober } from "../../../src/daemon/prober.js";
import type { Reach } from "../../../src/daemon/reach.js";
import { HopsackError } from "../../../src/errors.js";
import type { Lease } from "../../../src/lease/lease.js";
import { answerTo, encodeQuestion, parseProbe } from "../../../src/wire/probe.js";
import { lease } from "../../support/daemon-fixtures.js";

const OWN = "10.244.0.0";

interface Sent {
  readonly at: number;
  readonly address: string;
  readonly port: number | undefined;
  readonly datagram: Uint8Array;
}

/** A prober in a simulated time that runs as fast as it can; `answer` says what the net does with what is sent. */
class Trial {
  readonly sent: Sent[] = [];
  readonly troubles: string[] = [];
  readonly opened: string[] = [];
  closed = 0;
  fault: HopsackError | null = null;
  hear: HearProbe = () => {};
  answer: (sent: Sent) => void = () => {};
  now = 0;
  readonly prober: Prober;

  constructor() {
    this.prober = new Prober({
      clock: {
        now: () => 1_000_000 + this.now,
        monotonic: () => this.now,
        random: () => 0,
        sleep: async (milliseconds, signal) => {
          signal.throwIfAborted();
          this.now += milliseconds;
          this.#onTime();
          signal.throwIfAborted();
        },
      },
      trouble: { note: (error) => void this.troubles.push(String(error)), over: () => void this.troubles.push("over") },
      openSocket: async (address, port, hear) => {
        if (this.fault !== null) throw this.fault;
        this.opened.push(`${address}:${port}`);
        this.hear = hear;
        return { send: (datagram, to, toPort) => this.#send(datagram, to, toPort), close: () => void this.closed++ };
      },
    });
  }

  #onTime: () => void = () => {};

  follow(peers: readonly Lease[], ownAddress: string | null = OWN): void {
    this.prober.follow({ ownAddress, peers, addressOf });
  }

  /** @param onTime called whenever time has passed */
  async run(seconds: number, onTime: () => void = () => {}): Promise<void> {
    const ending = new AbortController();
    const end = this.now + 1000 * seconds;
    this.#onTime = () => {
      onTime();
      if (this.now >= end) ending.abort("over");
    };
    await this.prober.run(ending.signal).catch((error: unknown) => {
      if (error !== "over") throw error;
    });
  }

  reach(peer: Lease): Reach | null {
    return this.prober.reachOf(peer);
  }

  #send(datagram: Uint8Array, address: string, port: number | undefined): void {
    const sent = { at: this.now, address, port, datagram };
    this.sent.push(sent);
    this.answer(sent);
  }
}

/** `10.244.2.0` for 10.244.2.0/24. */
function addressOf({ subnet }: Lease): string {
  const bits = Number(subnet.base);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
}

const peer = (n: number): Lease => lease(`10.${n >> 8}.${n & 255}.0/24`, `192.168.${n >> 8}.${n & 255}`, `h${n}`);

t.test("a peer that answers is reachable, with round trip, loss and the moment it was last heard", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.answer = ({ datagram, address }) => {
    trial.now += 3;
    trial.hear(answerTo(datagram), { address, port: 9286 });
  };
  trial.follow([b]);
  await trial.run(0.5);
  t.same(trial.sent, [], "nothing is asked before the other side can know this host");
  await trial.run(12);
  t.match(trial.reach(b), { state: "reachable", roundTripMilliseconds: 3, loss: 0 });
  const last = trial.sent.at(-1);
  t.equal(trial.reach(b)?.lastHeardAt, 1_000_000 + (last?.at ?? 0) + 3);
  t.equal(trial.sent.length, 3, "once in five seconds");
});

t.test("a peer that never answered is silent, and one that did is lost after three misses", async (t) => {
  const trial = new Trial();
  const [never, once] = [peer(1), peer(2)];
  let isUp = true;
  trial.answer = ({ datagram, address }) => {
    if (isUp && address === addressOf(once)) trial.hear(answerTo(datagram), { address, port: 9286 });
  };
  trial.follow([never, once]);
  await trial.run(8);
  t.equal(trial.reach(never)?.state, "unknown");
  t.equal(trial.reach(once)?.state, "reachable");
  isUp = false;
  await trial.run(10);
  t.match(trial.reach(never), { state: "silent", lastHeardAt: null, roundTripMilliseconds: null, loss: 1 });
  t.equal(trial.reach(once)?.state, "reachable", "one miss is no end");
  await trial.run(12);
  t.equal(trial.reach(once)?.state, "lost");
  isUp = true;
  await trial.run(6);
  t.equal(trial.reach(once)?.state, "reachable");
});

t.test("a peer whose questions arrive and whose answers do not is one-way", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.follow([b]);
  await trial.run(25, () => trial.hear(encodeQuestion(1n), { address: addressOf(b), port: 9286 }));
  t.equal(trial.reach(b)?.state, "one-way");
  await trial.run(20);
  t.equal(trial.reach(b)?.state, "silent", "until its questions do not arrive either");
});

t.test("a thousand peers get at most three questions a second, and each its turn", async (t) => {
  const trial = new Trial();
  trial.answer = ({ datagram, address }) => trial.hear(answerTo(datagram), { address, port: 9286 });
  trial.follow(Array.from({ length: 1000 }, (_, n) => peer(n)));
  await trial.run(400);
  const busiest = trial.sent.map(({ at }, n) => (trial.sent[n + 3]?.at ?? Number.POSITIVE_INFINITY) - at);
  t.ok(Math.min(...busiest) >= 1000, "three in any second");
  t.equal(new Set(trial.sent.map(({ address }) => address)).size, 1000);
});

t.test(
  "who owes an answer is asked again at once, not when it is everybody's turn, and only until it is lost",
  async (t) => {
    const trial = new Trial();
    const dead = peer(500);
    const peers = Array.from({ length: 1000 }, (_, n) => (n === 500 ? dead : peer(n)));
    let isUp = true;
    trial.answer = ({ datagram, address }) => {
      if (isUp || address !== addressOf(dead)) trial.hear(answerTo(datagram), { address, port: 9286 });
    };
    trial.follow(peers);
    await trial.run(400);
    isUp = false;
    await trial.run(360);
    t.equal(trial.reach(dead)?.state, "lost", "after one round and fifteen seconds");
    const questions = (): number => trial.sent.filter(({ address }) => address === addressOf(dead)).length;
    const before = questions();
    await trial.run(700);
    t.equal(questions() - before, 2, "then as seldom as everybody");
  },
);

t.test("questions of known peers are answered, as long as they are, to where they came from", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.follow([b]);
  const question = encodeQuestion(9n, 700);
  await trial.run(0.5, () => trial.sent.length > 0 || trial.hear(question, { address: addressOf(b), port: 40_000 }));
  t.equal(trial.sent.length, 1);
  t.match(trial.sent[0], { address: addressOf(b), port: 40_000 });
  t.equal(trial.sent[0]?.datagram.length, 700);
  t.same(parseProbe(trial.sent[0]?.datagram ?? new Uint8Array()), { kind: "answer", token: 9n });
});

t.test("strangers, answers nobody asked for, and what is no probe get nothing", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.follow([b]);
  await trial.run(0.5, () => {
    trial.hear(encodeQuestion(9n), { address: "10.244.77.2", port: 9286 });
    trial.hear(encodeQuestion(9n), { address: b.attrs.publicIp, port: 9286 });
    trial.hear(answerTo(encodeQuestion(9n)), { address: addressOf(b), port: 9286 });
    trial.hear(Uint8Array.from([1, 2, 3]), { address: addressOf(b), port: 9286 });
  });
  t.same(trial.sent, []);
  t.match(trial.reach(b), { state: "unknown", lastHeardAt: null });
});

t.test("a flood closes the socket for the rest of the second", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.answer = ({ datagram, address }) => trial.hear(answerTo(datagram), { address, port: 9286 });
  trial.follow([b]);
  let addressInFlood: string | null = OWN;
  await trial.run(20, () => {
    if (trial.now < 3000 || addressInFlood === null) return;
    for (let n = 0; n < 1500; n++) trial.hear(Uint8Array.of(n), { address: "10.244.77.2", port: 1 });
    addressInFlood = trial.prober.address;
  });
  t.equal(addressInFlood, null);
  t.equal(trial.opened.length, 2, "and opened again");
  t.match(trial.reach(b), { state: "reachable", loss: 0 });
  t.equal(trial.closed, 2, "nothing is left open");
});

t.test("in a mode without an address for it nothing is opened and nobody asked", async (t) => {
  const trial = new Trial();
  const b = peer(1);
  trial.follow([b], null);
  await trial.run(20);
  t.same([trial.opened, trial.sent, trial.reach(b)], [[], [], null]);
  trial.follow([b]);
  await trial.run(2);
  t.same(trial.opened, [`${OWN}:9286`]);
});

t.test("who is known stays as known, and who is gone is asked no more", async (t) => {
  const trial = new Trial();
  const [b, c] = [peer(1), peer(2)];
  trial.answer = ({ datagram, address }) => trial.hear(answerTo(datagram), { address, port: 9286 });
  trial.follow([b, c]);
  await trial.run(3);
  const renewed = { ...b };
  trial.follow([renewed]);
  await trial.run(0.1);
  t.equal(trial.reach(renewed)?.state, "reachable");
  const before = trial.sent.length;
  await trial.run(20);
  t.same(new Set(trial.sent.slice(before).map(({ address }) => address)), new Set([addressOf(b)]));
});

t.test("a port that stays taken is said, and over when it is free", async (t) => {
  const trial = new Trial();
  trial.fault = new HopsackError("PORT_TAKEN", "taken", { retryable: true });
  trial.follow([peer(1)]);
  await trial.run(1.5);
  t.same(trial.troubles, [], "a predecessor has time to let go");
  await trial.run(3);
  t.match(trial.troubles[0], /taken/);
  trial.fault = null;
  await trial.run(2);
  t.equal(trial.troubles.at(-1), "over");
});
