// The calls that the etcd store makes, on whichever member answers. Knows keys, values and revisions, no leases of ours. The
// library's own retries and watches are not used: they lose events (see ARCHITECTURE.md, etcd).
import { readFileSync } from "node:fs";
import { InterceptingCall, type InterceptorOptions, type NextCall } from "@grpc/grpc-js";
import { noop } from "cockatiel";
import { Etcd3, type ICompare, type IOptions, type IRequestOp, type IWatchResponse } from "etcd3";
import { HopsackError, messageOf } from "../errors.js";
import { etcdError, isMemberTrouble } from "./etcd-errors.js";
import type { EtcdSettings } from "./etcd-settings.js";

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** 64 bits, decimal; NO_LEASE: the key never ends. */
  readonly leaseId: string;
}

/** Everything under a prefix at one revision. */
export interface Snapshot {
  readonly clusterId: string;
  readonly revision: number;
  readonly keyValues: readonly KeyValue[];
}

export interface KeyEvent {
  readonly isPut: boolean;
  readonly keyValue: KeyValue;
}

/** One message of a watch. `compacted`: the changes asked for are no longer kept, the watch has ended. */
export type WatchMessage =
  | { readonly kind: "events"; readonly events: readonly KeyEvent[] }
  | { readonly kind: "progress"; readonly revision: number }
  | { readonly kind: "compacted" };

/** A member that answers, about to be watched. */
export interface WatchLink {
  readonly clusterId: string;
  /** The cluster's revision now, not the member's: it may lag behind. */
  readonly revision: number;
  /** Every change from `revision` on; ends when `signal` aborts, throws when the connection breaks. */
  messages(revision: number, signal: AbortSignal): AsyncIterable<WatchMessage>;
}

export const NO_LEASE = "0";

const CALL_LIMIT_MS = 3000;
const PAGE_KEYS = 1000;
/** A member answers at most one ping in 5 s (etcd --grpc-keepalive-min-time); a silent one is left after 8 s. */
const CHANNEL_OPTIONS = {
  "grpc.keepalive_time_ms": 5500,
  "grpc.keepalive_timeout_ms": 2500,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.min_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  "grpc.max_receive_message_length": -1,
  interceptors: [requireLeader],
};

interface Member {
  readonly endpoint: string;
  readonly client: Etcd3;
}

export class EtcdClient {
  readonly #settings: EtcdSettings;
  readonly #login: IOptions["auth"];
  #members: readonly Member[];
  /** The member that answered last. */
  #current = 0;

  /** @throws BAD_OPTION for a file that cannot be read */
  constructor(settings: EtcdSettings) {
    this.#settings = settings;
    this.#login = loginOf(settings);
    this.#members = connect(settings, this.#login);
  }

  /** All keys that begin with `prefix`, in pages, at one revision. */
  async list(prefix: string): Promise<Snapshot> {
    const range = { key: Buffer.from(prefix), range_end: rangeEnd(prefix), limit: PAGE_KEYS };
    let page = await this.#call(({ kv }) => kv.range(range));
    const { revision, cluster_id: clusterId } = page.header;
    const keyValues = page.kvs.map(keyValueOf);
    while (page.more) {
      const key = Buffer.concat([page.kvs.at(-1)?.key ?? range.key, Buffer.of(0)]);
      page = await this.#call(({ kv }) => kv.range({ ...range, key, revision }));
      keyValues.push(...page.kvs.map(keyValueOf));
    }
    return { clusterId, revision: Number(revision), keyValues };
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const { kvs } = await this.#call(({ kv }) => kv.range({ key: Buffer.from(key) }));
    return kvs.map(keyValueOf)[0];
  }

  /** Does `operations` in one step if every comparison holds; whether they did. */
  async commit(compare: readonly ICompare[], operations: readonly IRequestOp[]): Promise<boolean> {
    const { succeeded } = await this.#call(({ kv }) => kv.txn({ compare: [...compare], success: [...operations] }));
    return succeeded;
  }

  /** Makes an etcd lease of a chosen ID; one that is there already is kept. Seconds until it ends. */
  async grant(leaseId: string, ttlSeconds: number): Promise<number> {
    try {
      const granted = await this.#call(({ leaseClient }) => leaseClient.leaseGrant({ ID: leaseId, TTL: ttlSeconds }));
      return Number(granted.TTL);
    } catch (error) {
      if (!/lease already exists/.test(messageOf(error))) throw error;
      return this.keepAlive(leaseId);
    }
  }

  /** Begins the life of an etcd lease anew: seconds until it ends, 0 when there is no such lease. */
  keepAlive(leaseId: string): Promise<number> {
    return this.#call(async ({ leaseClient }) => {
      const stream = await leaseClient.leaseKeepAlive({ deadline: deadline() });
      return new Promise<number>((resolve, reject) => {
        stream.on("data", ({ TTL }) => {
          resolve(Number(TTL));
          stream.end();
        });
        stream.on("error", reject);
        stream.on("end", () => reject(new Error("14 UNAVAILABLE: the stream ended without an answer")));
        stream.write({ ID: leaseId });
      });
    });
  }

  /** Ends an etcd lease, and with it the keys attached to it; one that is gone already is fine. */
  async revoke(leaseId: string): Promise<void> {
    try {
      await this.#call(({ leaseClient }) => leaseClient.leaseRevoke({ ID: leaseId }));
    } catch (error) {
      if (!/requested lease not found/.test(messageOf(error))) throw error;
    }
  }

  /** A member that answers now, for a watch of all keys that begin with `prefix`. Tries each member once. */
  openWatch(prefix: string): Promise<WatchLink> {
    const range = { key: Buffer.from(prefix), range_end: rangeEnd(prefix) };
    return this.#call(async (client, endpoint) => {
      const { header } = await client.kv.range({ ...range, count_only: true });
      const open = (revision: number) =>
        client.watchClient.watch().then((stream) => {
          stream.write({ create_request: { ...range, start_revision: revision, progress_notify: true } });
          return stream;
        });
      return {
        clusterId: header.cluster_id,
        revision: Number(header.revision),
        messages: (revision, signal) => this.#messages(() => open(revision), endpoint, signal),
      };
    });
  }

  close(): void {
    for (const { client } of this.#members) client.close();
  }

  async *#messages(
    open: () => ReturnType<Etcd3["watchClient"]["watch"]>,
    endpoint: string,
    signal: AbortSignal,
  ): AsyncGenerator<WatchMessage, void> {
    const stream = await open();
    const cancel = (): void => {
      stream.end();
      stream.cancel();
    };
    signal.addEventListener("abort", cancel, { once: true });
    try {
      if (signal.aborted) return;
      for await (const response of stream as unknown as AsyncIterable<IWatchResponse>) {
        const message = messageFrom(response);
        if (message !== null) yield message;
      }
      if (!signal.aborted) throw new Error("14 UNAVAILABLE: the member ended the watch");
    } catch (error) {
      if (signal.aborted) return;
      this.#current = (this.#current + 1) % this.#members.length; // the next call tries another member first
      throw etcdError(error, endpoint, this.#settings);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.on("error", () => undefined); // a cancelled call ends with an error that nobody waits for
      cancel();
    }
  }

  /** Tries each member once, the one that answered last first. @throws STORE_UNAVAILABLE */
  async #call<T>(work: (client: Etcd3, endpoint: string) => Promise<T>): Promise<T> {
    const count = this.#members.length;
    for (let tried = 1; ; tried++) {
      const member = this.#members[this.#current % count];
      if (member === undefined) throw new Error("no etcd member is configured");
      try {
        return await work(member.client, member.endpoint);
      } catch (error) {
        if (tried <= count && this.#changesLogin(error, member)) continue;
        if (!isMemberTrouble(error) || tried >= count) throw etcdError(error, member.endpoint, this.#settings);
        this.#current = (this.#current + 1) % count;
      }
    }
  }

  /**
   * As etcd's own client does: a cluster without authentication takes a user and password as if they were not given; one that
   * has it from some day on gets them then, and once more when its users changed. Whether the next try may fare better.
   */
  #changesLogin(error: unknown, member: Member): boolean {
    const message = messageOf(error);
    const isNeedless = /authentication is not enabled/.test(message);
    const isMissing = this.#login !== undefined && /user name is empty|revision of auth store is old/.test(message);
    if (!isNeedless && !isMissing) return false;
    if (this.#members.includes(member)) this.#connectAnew(isNeedless ? undefined : this.#login);
    return true; // if not, another call has seen to it
  }

  #connectAnew(login: IOptions["auth"]): void {
    for (const { client } of this.#members) client.close();
    this.#members = connect(this.#settings, login);
  }
}

function connect(settings: EtcdSettings, auth: IOptions["auth"]): Member[] {
  const credentials = tlsOf(settings);
  return settings.endpoints.map((endpoint) => {
    const client = new Etcd3({
      hosts: endpoint,
      grpcOptions: CHANNEL_OPTIONS,
      ...(credentials === undefined ? {} : { credentials }),
      ...(auth === undefined ? {} : { auth }),
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: deadline() }),
      faultHandling: { host: () => noop, global: noop },
    });
    return { endpoint, client };
  });
}

function loginOf({ username, password, passwordFile }: EtcdSettings): IOptions["auth"] {
  if (username === null) return undefined;
  const fromFile = passwordFile === null ? "" : readSecret(passwordFile, "--etcd-password-file").toString("utf8");
  return {
    username,
    password: password ?? fromFile.replace(/\r?\n$/, ""),
    callOptions: () => ({ deadline: deadline() }),
  };
}

/** Plain http has none; https without --etcd-cafile trusts what the system trusts. */
function tlsOf({ caFile, certFile, keyFile }: EtcdSettings): IOptions["credentials"] {
  if (caFile === null) return undefined;
  const rootCertificate = readSecret(caFile, "--etcd-cafile");
  if (certFile === null || keyFile === null) return { rootCertificate };
  return {
    rootCertificate,
    certChain: readSecret(certFile, "--etcd-certfile"),
    privateKey: readSecret(keyFile, "--etcd-keyfile"),
  };
}

function readSecret(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new HopsackError(
      "BAD_OPTION",
      `${flag} ${path} cannot be read (${messageOf(error)}); make it readable or name another`,
      {
        cause: error,
      },
    );
  }
}

function deadline(): number {
  return Date.now() + CALL_LIMIT_MS;
}

/** A member without a leader says so at once instead of letting a call or a watch hang (etcd's own `hasleader`). */
function requireLeader(options: InterceptorOptions, nextCall: NextCall): InterceptingCall {
  return new InterceptingCall(nextCall(options), {
    start: (metadata, listener, next) => {
      metadata.set("hasleader", "true");
      next(metadata, listener);
    },
  });
}

/** The first key behind all that begin with `prefix`: etcd's own way, the last byte one higher. */
function rangeEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return end;
}

function keyValueOf(kv: {
  key: Buffer;
  value: Buffer;
  create_revision: string;
  mod_revision: string;
  lease: string;
}): KeyValue {
  return {
    key: kv.key.toString("utf8"),
    value: kv.value.toString("utf8"),
    createRevision: Number(kv.create_revision),
    modRevision: Number(kv.mod_revision),
    leaseId: kv.lease,
  };
}

/** null for the answer that the watch was created. */
function messageFrom(response: IWatchResponse): WatchMessage | null {
  if (response.canceled) {
    if (Number(response.compact_revision) > 0) return { kind: "compacted" };
    throw new Error(response.cancel_reason || "14 UNAVAILABLE: the member cancelled the watch");
  }
  if (response.created) return null;
  if (response.events.length === 0) return { kind: "progress", revision: Number(response.header.revision) };
  const events = response.events.map(({ type, kv }) => ({
    isPut: type === "Put" || String(type) === "PUT",
    keyValue: keyValueOf(kv),
  }));
  return { kind: "events", events };
}
