// The contract of src/store/lease-store.ts as tests. watchingContract: every store. leasingContract: those that give out
// subnets. administrationContract: those that commands may change; it needs no clock of its own. Each implementation runs through them in its own lease-store.<name>.test.ts.
import t from "tap";
import { HopsackError } from "../../src/errors.js";
import { type Lease, type LeaseAttrs, type LeaseEvent, leaseKey, type TimedLease } from "../../src/lease/lease.js";
import { LeaseTable } from "../../src/lease/lease-table.js";
import { formatPrefix, overlaps, type Prefix, parsePrefix } from "../../src/net/prefix.js";
import type { AcquireRequest, LeaseStore, Reservation } from "../../src/store/lease-store.js";

/** Life of a lease in the stores under test. */
export const TTL_SECONDS = 3600;
/** How long a test waits for a batch before it fails. */
const WAIT_LIMIT_MS = 20_000;

/** One store with several daemons: open() is another daemon each time. */
export interface WatchingHarness {
  open(): LeaseStore;
  /** What an administrator does by hand: writes or removes an entry. */
  put(lease: TimedLease): Promise<void>;
  remove(lease: Lease): Promise<void>;
  /** A lease as others see it: a store may not tell them when it ends, or its node. */
  asListed(lease: TimedLease): Lease;
}

export interface LeasingHarness extends WatchingHarness {
  /** Milliseconds since the epoch, by the store's clock. */
  now(): number;
  /** By how much the end of a lease may differ from what the test computes; 0 with a clock of the test's own. */
  readonly toleranceMs: number;
  /** Lets time pass, where the store has a clock that a test can move. */
  advance(seconds: number): void;
  /** Lets the leases of now run out. */
  expire(): Promise<void>;
}

/** `configText` is the store's network configuration. */
type MakeHarness<H> = (t: Tap, configText: string) => Promise<H>;
export type Tap = Parameters<Parameters<typeof t.test>[0]>[0];

const CONFIG = JSON.stringify({ Network: "10.244.0.0/16" });

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`bad prefix in a test: ${text}`);
  return parsed;
}

export function attrs(number: number, node: string | null = `h${number}`): LeaseAttrs {
  const publicIp = `192.168.50.${number}`;
  return { publicIp, publicIpv6: null, backendType: "udp", backendData: null, backendV6Data: null, node };
}

/** The reservation of host `number`: subnet 10.244.<number>.0/24. */
export function reservation(number: number, node: string | null = `h${number}`): TimedLease {
  return { subnet: prefix(`10.244.${number}.0/24`), subnetV6: null, attrs: attrs(number, node), expiresAt: null };
}

/** A watch under way; ended by the test's teardown at the latest. */
export class Watching {
  readonly #abort = new AbortController();
  readonly #iterator: AsyncIterator<LeaseEvent[]>;

  constructor(t: Tap, store: LeaseStore, known?: readonly Lease[]) {
    this.#iterator = store.watch(this.#abort.signal, known)[Symbol.asyncIterator]();
    t.teardown(() => this.#abort.abort());
  }

  /** The next batch, or "ended". */
  async next(): Promise<LeaseEvent[] | "ended"> {
    const result = await withinLimit(this.#iterator.next());
    return result.done === true ? "ended" : result.value;
  }

  /** The next batch, which must come. */
  async batch(): Promise<LeaseEvent[]> {
    const batch = await this.next();
    if (batch === "ended") throw new Error("the watch ended by itself");
    return batch;
  }

  /** The next batch as text: `+10.244.1.0-24`, `-10.244.1.0-24`. */
  async nextKeys(): Promise<string[] | "ended"> {
    const batch = await this.next();
    return batch === "ended" ? batch : batch.map(({ kind, lease }) => (kind === "added" ? "+" : "-") + leaseKey(lease));
  }

  abort(): void {
    this.#abort.abort();
  }
}

async function withinLimit<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came within ${WAIT_LIMIT_MS} ms`)), WAIT_LIMIT_MS);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function request(store: LeaseStore, host: LeaseAttrs, previous: string | null = null): Promise<AcquireRequest> {
  const before = previous === null ? null : { subnet: prefix(previous), subnetV6: null };
  return { config: await store.readConfig(), attrs: host, previous: before };
}

async function acquire(store: LeaseStore, host: LeaseAttrs, previous: string | null = null): Promise<TimedLease> {
  return store.acquire(await request(store, host, previous));
}

/** The lease ends one whole life from now. */
function isFullTerm(t: Tap, { now, toleranceMs }: LeasingHarness, lease: TimedLease): void {
  const offMs = Math.abs((lease.expiresAt ?? Number.POSITIVE_INFINITY) - (now() + TTL_SECONDS * 1000));
  t.ok(offMs <= toleranceMs, `ends a whole life from now, off by ${offMs} ms`);
}

function keys(leases: readonly Lease[]): string[] {
  return leases.map(leaseKey).sort();
}

export function watchingContract(name: string, make: MakeHarness<WatchingHarness>): void {
  t.test(`${name}: the first batch of a watch holds every lease, even when there is none`, async (t) => {
    const harness = await make(t, CONFIG);
    t.same(await new Watching(t, harness.open()).nextKeys(), []);
    await harness.put(reservation(1));
    await harness.put(reservation(2));
    const batch = await new Watching(t, harness.open()).next();
    t.same(
      batch,
      [1, 2].map((number) => ({ kind: "added", lease: harness.asListed(reservation(number)) })),
    );
    t.same(await harness.open().list(), [reservation(1), reservation(2)].map(harness.asListed));
  });

  t.test(`${name}: a watch tells each change exactly once`, async (t) => {
    const harness = await make(t, CONFIG);
    await harness.put(reservation(1));
    const watching = new Watching(t, harness.open());
    t.same(await watching.nextKeys(), ["+10.244.1.0-24"]);
    await harness.put(reservation(2));
    t.same(await watching.nextKeys(), ["+10.244.2.0-24"]);
    const changed = { ...reservation(1), attrs: attrs(99) };
    await harness.put(changed);
    t.same(await watching.next(), [{ kind: "added", lease: harness.asListed(changed) }]);
    await harness.remove(reservation(1));
    t.same(await watching.nextKeys(), ["-10.244.1.0-24"]);
    await harness.put(reservation(3));
    t.same(await watching.nextKeys(), ["+10.244.3.0-24"], "nothing else happened");
  });

  t.test(`${name}: a watch begun with what is known tells only the difference`, async (t) => {
    const harness = await make(t, CONFIG);
    for (const number of [1, 2, 3]) await harness.put(reservation(number));
    const known = await harness.open().list();
    await harness.remove(reservation(1));
    await harness.put({ ...reservation(2), attrs: attrs(99) });
    await harness.put(reservation(4));
    const watching = new Watching(t, harness.open(), known);
    t.same(await watching.nextKeys(), ["-10.244.1.0-24", "+10.244.2.0-24", "+10.244.4.0-24"]);
    const idle = new Watching(t, harness.open(), await harness.open().list());
    t.same(await idle.nextKeys(), [], "and says so when there is none");
  });

  t.test(`${name}: no change is missed while a watch begins or its reader is busy`, async (t) => {
    const harness = await make(t, CONFIG);
    const store = harness.open();
    const watching = new Watching(t, store);
    const table = new LeaseTable();
    const writing = (async () => {
      for (let number = 1; number <= 20; number++) await harness.put(reservation(number));
      for (let number = 1; number <= 20; number += 2) await harness.remove(reservation(number));
    })();
    const isComplete = (): boolean =>
      table.size === 10 && !table.list().some((lease) => lease.subnet.base % 512n !== 0n);
    while (!isComplete()) table.apply(await watching.batch());
    await writing;
    t.same(keys(table.list()), keys(await store.list()));
  });

  t.test(`${name}: a watch ends when it is aborted or the store is closed`, async (t) => {
    const harness = await make(t, CONFIG);
    const watching = new Watching(t, harness.open());
    await watching.next();
    const waiting = watching.next();
    watching.abort();
    t.equal(await waiting, "ended");

    const aborted = new Watching(t, harness.open());
    aborted.abort();
    t.equal(await aborted.next(), "ended", "aborted before it began");

    const store = harness.open();
    const closed = new Watching(t, store);
    await closed.next();
    await store.close();
    t.equal(await closed.next(), "ended");
  });

  t.test(`${name}: a host gets the entry that was made for its public IP, for ever`, async (t) => {
    const harness = await make(t, CONFIG);
    await harness.put(reservation(1, null));
    await harness.put(reservation(2, null));
    const store = harness.open();
    const lease = await acquire(store, attrs(2));
    t.same(lease, reservation(2), "with the attributes that the host publishes");
    t.same(await store.renew(lease), lease);
    await store.release(lease);
    t.same(keys(await harness.open().list()), ["10.244.1.0-24", "10.244.2.0-24"]);
  });

  t.test(`${name}: a lease taken away by hand is seen by its owner and cannot be renewed`, async (t) => {
    const harness = await make(t, CONFIG);
    await harness.put(reservation(1, null));
    const store = harness.open();
    const lease = await acquire(store, attrs(1));
    const watching = new Watching(t, store);
    t.same(await watching.nextKeys(), ["+10.244.1.0-24"]);
    await harness.remove(lease);
    t.same(await watching.nextKeys(), ["-10.244.1.0-24"]);
    await t.rejects(store.renew(lease), { code: "LEASE_LOST", message: /10\.244\.1\.0/ });
  });
}

export function leasingContract(name: string, make: MakeHarness<LeasingHarness>): void {
  acquireContract(name, make);
  sharingContract(name, make);
  expiryContract(name, make);
}

function acquireContract(name: string, make: MakeHarness<LeasingHarness>): void {
  t.test(`${name}: a host gets a subnet of the network, and the same one again`, async (t) => {
    const harness = await make(t, CONFIG);
    const { open, asListed } = harness;
    const lease = await acquire(open(), attrs(1));
    t.equal(lease.subnet.length, 24);
    t.ok(overlaps(lease.subnet, prefix("10.244.0.0/16")));
    isFullTerm(t, harness, lease);
    t.same(await open().list(), [asListed(lease)]);
    harness.advance(10);
    const again = await acquire(open(), attrs(1), "10.244.77.0/24");
    t.same(again, { ...lease, expiresAt: again.expiresAt }, "its live lease goes before a previous one");
    isFullTerm(t, harness, again);
    t.same(await open().list(), [asListed(again)]);
  });

  t.test(`${name}: the previous subnet is taken again if it is free and fits`, async (t) => {
    const { open } = await make(t, CONFIG);
    t.equal(leaseKey(await acquire(open(), attrs(1), "10.244.77.0/24")), "10.244.77.0-24");
    t.not(leaseKey(await acquire(open(), attrs(2), "10.244.77.0/24")), "10.244.77.0-24", "taken by another");
    t.not(leaseKey(await acquire(open(), attrs(3), "10.99.1.0/24")), "10.99.1.0-24", "outside the network");
    t.equal((await acquire(open(), attrs(4), "10.244.8.0/25")).subnet.length, 24, "of another length");
  });

  t.test(`${name}: a lease that no longer fits the network is given up for one that does`, async (t) => {
    const { open, put, now, asListed } = await make(t, CONFIG);
    const misfit = { ...reservation(1), subnet: prefix("10.99.1.0/24"), expiresAt: now() + 60_000 };
    await put(misfit);
    const lease = await acquire(open(), attrs(1));
    t.ok(overlaps(lease.subnet, prefix("10.244.0.0/16")));
    t.same(await open().list(), [asListed(lease)]);
  });

  t.test(`${name}: who watches never sees a host that moves without a lease`, async (t) => {
    const { open, put, now } = await make(t, CONFIG);
    const table = new LeaseTable();
    const watching = new Watching(t, open());
    const misfit = { ...reservation(1), subnet: prefix("10.99.1.0/24"), expiresAt: now() + 60_000 };
    await put(misfit);
    while (table.get(leaseKey(misfit)) === undefined) table.apply(await watching.batch());
    const { subnet } = await acquire(open(), attrs(1));
    while (table.get(leaseKey(misfit)) !== undefined) {
      table.apply(await watching.batch());
      t.not(table.size, 0);
    }
    t.same(
      table.list().map((lease) => formatPrefix(lease.subnet)),
      [formatPrefix(subnet)],
    );
  });

  t.test(`${name}: a dual-stack network gives a pair`, async (t) => {
    const dual = { Network: "10.244.0.0/16", EnableIPv6: true, IPv6Network: "fd00:244::/48" };
    const { open, asListed } = await make(t, JSON.stringify(dual));
    const lease = await acquire(open(), attrs(1));
    t.match(lease.subnetV6 === null ? "" : formatPrefix(lease.subnetV6), /^fd00:244:0:.*::\/64$/);
    t.same(await open().list(), [asListed(lease)]);
  });

  t.test(`${name}: a full network is NETWORK_FULL and says who holds what`, async (t) => {
    const { open, put } = await make(t, JSON.stringify({ Network: "10.244.0.0/24", SubnetLen: 29 }));
    for (let number = 1; number <= 31; number++) {
      await put({ ...reservation(number), subnet: prefix(`10.244.0.${number * 8}/29`) });
    }
    try {
      await acquire(open(), attrs(40));
      t.fail("got a subnet of a full network");
    } catch (error) {
      if (!(error instanceof HopsackError)) throw error;
      t.equal(error.code, "NETWORK_FULL");
      t.match(
        error.message,
        /10\.244\.0\.8\/29 … 10\.244\.0\.248\/29: taken 10\.244\.0\.\d+\/29 by (h\d+ \()?192\.168\.50\.\d+/,
      );
      t.equal(error.message.split("/29 by ").length - 1, 20, "twenty holders are named");
      t.match(error.message, /, and 11 more; remove/);
    }
  });
}

function sharingContract(name: string, make: MakeHarness<LeasingHarness>): void {
  t.test(`${name}: twenty daemons that start at once get twenty subnets`, async (t) => {
    const { open } = await make(t, JSON.stringify({ Network: "10.244.0.0/19" }));
    const hosts = Array.from({ length: 20 }, (_, index) => index + 1);
    const leases = await Promise.all(hosts.map((number) => acquire(open(), attrs(number), "10.244.5.0/24")));
    t.equal(new Set(leases.map(leaseKey)).size, 20);
    t.same(keys(await open().list()), keys(leases));
  });

  t.test(`${name}: two hosts with one public IP: the second is told who the first is`, async (t) => {
    const { open, asListed } = await make(t, CONFIG);
    const lease = await acquire(open(), attrs(1, "alpha"));
    const holder = asListed(lease).attrs.node === null ? "another hopsack host" : "host alpha";
    const message = new RegExp(`192\\.168\\.50\\.1 belongs to ${holder}, which holds .*--public-ip`);
    await t.rejects(acquire(open(), attrs(1, "beta")), { code: "PUBLIC_IP_TAKEN", message });
    t.same(await open().list(), [asListed(lease)], "and the first loses nothing");
  });

  t.test(`${name}: a lease without a node, as flannel writes it, belongs to its public IP`, async (t) => {
    const { open, put, now } = await make(t, CONFIG);
    await put({ ...reservation(7, null), expiresAt: now() + 60_000 });
    t.equal(leaseKey(await acquire(open(), attrs(7))), "10.244.7.0-24");
  });

  t.test(`${name}: a reservation is kept for its public IP and outlives its user`, async (t) => {
    const { open, put, expire } = await make(t, JSON.stringify({ Network: "10.244.0.0/22" }));
    await put(reservation(2, null));
    const others = [await acquire(open(), attrs(50)), await acquire(open(), attrs(51))];
    t.notOk(others.some((lease) => leaseKey(lease) === "10.244.2.0-24"));
    const store = open();
    const lease = await acquire(store, attrs(2));
    t.same(lease, reservation(2));
    await expire();
    t.same(await store.renew(lease), lease, "it never expires");
    await store.release(lease);
    t.same(await open().list(), [reservation(2, null)], "given back it is as it was");
    t.same(await acquire(open(), attrs(2, "renamed")), reservation(2, "renamed"));
  });

  t.test(`${name}: a released subnet is free at once; releasing again or another's lease does nothing`, async (t) => {
    const { open, asListed } = await make(t, CONFIG);
    const store = open();
    const lease = await acquire(store, attrs(1), "10.244.77.0/24");
    const watching = new Watching(t, open());
    t.same(await watching.nextKeys(), ["+10.244.77.0-24"]);
    await store.release(lease);
    t.same(await watching.nextKeys(), ["-10.244.77.0-24"]);
    const next = await acquire(open(), attrs(2), "10.244.77.0/24");
    t.equal(leaseKey(next), "10.244.77.0-24");
    await store.release(lease);
    t.same(await open().list(), [asListed(next)]);
    await t.rejects(store.renew(lease), { code: "LEASE_LOST", message: /belongs to .*192\.168\.50\.2.* now/ });
  });
}

function expiryContract(name: string, make: MakeHarness<LeasingHarness>): void {
  t.test(`${name}: renewing puts off the expiry, publishes the attributes, and is one change`, async (t) => {
    const harness = await make(t, CONFIG);
    const { open, asListed } = harness;
    const store = open();
    const lease = await acquire(store, attrs(1));
    const watching = new Watching(t, open());
    await watching.next();
    harness.advance(TTL_SECONDS / 2);
    const published = { ...lease.attrs, backendData: { VNI: 1 } };
    const renewed = await store.renew(lease, published);
    t.same(renewed, { ...lease, attrs: published, expiresAt: renewed.expiresAt });
    isFullTerm(t, harness, renewed);
    t.same(await watching.next(), [{ kind: "added", lease: asListed(renewed) }]);
    t.same(await open().list(), [asListed(renewed)]);
  });

  t.test(`${name}: a host that got another address publishes it with its next renewal`, async (t) => {
    const { open, asListed } = await make(t, CONFIG);
    const store = open();
    const lease = await acquire(store, attrs(1));
    const moved = { ...attrs(99), node: "h1" };
    const renewed = await store.renew(lease, moved);
    t.equal(leaseKey(renewed), leaseKey(lease));
    t.same(await open().list(), [asListed(renewed)]);
    t.same((await store.renew(renewed)).attrs, moved);
    await t.rejects(store.renew(lease), { code: "LEASE_LOST" }, "the address of before is nobody's");
  });

  t.test(`${name}: an expired lease is removed without anyone touching the store`, async (t) => {
    const { open, expire, asListed } = await make(t, CONFIG);
    const store = open();
    const lease = await acquire(store, attrs(1), "10.244.77.0/24");
    const watching = new Watching(t, open());
    t.same(await watching.next(), [{ kind: "added", lease: asListed(lease) }]);
    const waiting = watching.next();
    await expire();
    t.same(await waiting, [{ kind: "removed", lease: asListed(lease) }]);
    t.same(await open().list(), []);
    const message = /10\.244\.77\.0\/24 (has expired|is no longer in the store)/;
    await t.rejects(store.renew(lease), { code: "LEASE_LOST", message });
    t.equal(leaseKey(await acquire(open(), attrs(2), "10.244.77.0/24")), "10.244.77.0-24", "and its subnet is free");
  });

  t.test(`${name}: an expired lease does not keep its public IP from another host`, async (t) => {
    const { open, expire, asListed } = await make(t, CONFIG);
    await acquire(open(), attrs(1, "alpha"));
    await expire();
    const lease = await acquire(open(), attrs(1, "beta"));
    t.same(await open().list(), [asListed(lease)]);
  });

  t.test(`${name}: an expired lease does not keep its subnet from being reserved, and cannot be removed`, async (t) => {
    const { open, expire } = await make(t, CONFIG);
    const lease = await acquire(open(), attrs(1), "10.244.2.0/24");
    await expire();
    t.equal(await open().remove(lease), false);
    await acquire(open(), attrs(1), "10.244.2.0/24");
    await expire();
    await open().reserve(wanted(2));
    t.same(await open().list(), [reservation(2, null)]);
  });
}

/** For every store that `hopsack leases` may change. */
export function administrationContract(name: string, make: MakeHarness<WatchingHarness>): void {
  reservingContract(name, make);
  removingContract(name, make);
  configContract(name, make);
}

function reservingContract(name: string, make: MakeHarness<WatchingHarness>): void {
  t.test(`${name}: what is reserved is kept for its public IP`, async (t) => {
    const { open } = await make(t, JSON.stringify({ Network: "10.244.0.0/22" }));
    const watching = new Watching(t, open());
    t.same(await watching.nextKeys(), []);
    await open().reserve(wanted(2));
    t.same(await watching.next(), [{ kind: "added", lease: reservation(2, null) }]);
    t.same(await open().list(), [reservation(2, null)]);
    const others = [await acquire(open(), attrs(50)), await acquire(open(), attrs(51))];
    t.notOk(others.some((lease) => leaseKey(lease) === "10.244.2.0-24"));
    t.same(await acquire(open(), attrs(2)), reservation(2));
  });

  t.test(`${name}: a lease that is reserved for its holder becomes permanent and keeps its attributes`, async (t) => {
    const { open, asListed } = await make(t, CONFIG);
    const store = open();
    const lease = await acquire(store, { ...attrs(1), backendData: { VNI: 1 } }, "10.244.1.0/24");
    await open().reserve(wanted(1));
    t.same(await open().list(), [asListed({ ...lease, expiresAt: null })]);
    t.equal((await store.renew(lease)).expiresAt, null, "and its holder's next renewal leaves it so");
    await open().reserve(wanted(1));
    t.same(await open().list(), [asListed({ ...lease, expiresAt: null })], "a second time changes nothing");
  });

  t.test(`${name}: a host that has another subnet moves to its reservation when it starts again`, async (t) => {
    const { open, asListed } = await make(t, CONFIG);
    await acquire(open(), attrs(1), "10.244.77.0/24");
    await open().reserve(wanted(1));
    t.same(keys(await open().list()), ["10.244.1.0-24", "10.244.77.0-24"], "the running host loses nothing");
    t.same(await acquire(open(), attrs(1)), reservation(1));
    t.same(await open().list(), [asListed(reservation(1))]);
  });

  t.test(`${name}: a subnet that another host holds, whole or in part, cannot be reserved`, async (t) => {
    const { open, put } = await make(t, CONFIG);
    await acquire(open(), attrs(1), "10.244.1.0/24");
    await put(reservation(2, null));
    const before = await open().list();
    const refusals: readonly [subnet: string, message: RegExp][] = [
      ["10.244.1.0/24", /^10\.244\.1\.0\/24 belongs to (h1 \()?192\.168\.50\.1\)?; choose another/],
      [
        "10.244.1.128/25",
        /^10\.244\.1\.128\/25 overlaps 10\.244\.1\.0\/24 of (h1 \()?192\.168\.50\.1\)?; choose another/,
      ],
      ["10.244.2.0/23", /^10\.244\.2\.0\/23 overlaps 10\.244\.2\.0\/24 of 192\.168\.50\.2; .* lease 10\.244\.2\.0-24 /],
    ];
    for (const [subnet, message] of refusals) {
      const reserved = open().reserve({ ...wanted(9), subnet: prefix(subnet) });
      await t.rejects(reserved, { code: "SUBNET_TAKEN", message });
    }
    t.same(await open().list(), before, "and nobody loses anything");
  });

  t.test(`${name}: one of two hosts that reserve a subnet at once gets it`, async (t) => {
    const { open } = await make(t, CONFIG);
    const both = [open().reserve(wanted(1)), open().reserve({ ...wanted(2), subnet: wanted(1).subnet })];
    const outcomes = await Promise.allSettled(both);
    t.same(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const refused = outcomes.find((outcome) => outcome.status === "rejected");
    t.match(refused?.reason, { code: "SUBNET_TAKEN" });
    t.equal((await open().list()).length, 1);
  });
}

function removingContract(name: string, make: MakeHarness<WatchingHarness>): void {
  t.test(
    `${name}: a removed lease is gone for its holder and free for others, a removed reservation too`,
    async (t) => {
      const { open } = await make(t, CONFIG);
      const store = open();
      const lease = await acquire(store, attrs(1), "10.244.1.0/24");
      await open().reserve(wanted(2));
      const watching = new Watching(t, open());
      t.same(await watching.nextKeys(), ["+10.244.1.0-24", "+10.244.2.0-24"]);
      t.equal(await open().remove(lease), true);
      t.same(await watching.nextKeys(), ["-10.244.1.0-24"]);
      await t.rejects(store.renew(lease), { code: "LEASE_LOST" });
      t.equal(await open().remove(reservation(2)), true);
      t.same(await watching.nextKeys(), ["-10.244.2.0-24"]);
      t.same(await open().list(), []);
      t.equal(leaseKey(await acquire(open(), attrs(3), "10.244.1.0/24")), "10.244.1.0-24");
    },
  );

  t.test(`${name}: removing what is not there says so and touches nothing`, async (t) => {
    const { open } = await make(t, CONFIG);
    await open().reserve(wanted(1));
    t.equal(await open().remove(reservation(2)), false);
    t.equal(
      await open().remove({ subnet: prefix("10.244.1.0/25"), subnetV6: null }),
      false,
      "a part of a lease is none",
    );
    t.same(await open().list(), [reservation(1, null)]);
  });
}

function configContract(name: string, make: MakeHarness<WatchingHarness>): void {
  t.test(`${name}: a new network configuration is read by all and leaves the leases alone`, async (t) => {
    const { open } = await make(t, CONFIG);
    const store = open();
    await open().reserve(wanted(1));
    await open().writeConfig('{ "Network": "10.9.0.0/16", "SubnetLen": 25 }\n');
    t.match(await store.readConfig(), { network: prefix("10.9.0.0/16"), subnetLen: 25 });
    t.equal((await acquire(open(), attrs(3))).subnet.length, 25);
    t.ok(keys(await open().list()).includes("10.244.1.0-24"), "a lease outside stays until somebody removes it");
  });

  t.test(`${name}: a network configuration that cannot be read is refused, and the old one stays`, async (t) => {
    const { open } = await make(t, CONFIG);
    for (const text of ["", "{", '{"Network": "10.9.0.0"}']) {
      await t.rejects(open().writeConfig(text), { code: "BAD_CONFIG" }, text);
    }
    t.match(await open().readConfig(), { network: prefix("10.244.0.0/16") });
  });
}

/** To be reserved: subnet 10.244.<number>.0/24 for host `number`, who has not come yet. */
function wanted(number: number): Reservation {
  const { subnet, subnetV6, attrs } = reservation(number, null);
  return { subnet, subnetV6, attrs };
}
