// The flags that say where the leases live, the same for hopsackd and for `hopsack leases`.
import { HopsackError } from "../errors.js";
import {
  checkedEtcdSettings,
  DEFAULT_ETCD_ENDPOINTS,
  DEFAULT_ETCD_PREFIX,
  describeEtcd,
  type EtcdSettings,
} from "../store/etcd-settings.js";

export interface Flag {
  readonly name: string;
  /** Placeholder of the value in --help; null = a switch. */
  readonly value: string | null;
  readonly help: string;
}

export interface StoreChoice {
  /** `file:DIR`, `static:FILE` or `etcd`. */
  readonly spec: string;
  /** null: another kind of store. */
  readonly etcd: EtcdSettings | null;
}

const ETCD = "etcd";
const DEFAULT_STORE = "file:/var/lib/hopsack";

export const STORE_FLAGS = {
  store: {
    name: "store",
    value: "SPEC",
    help: `where the leases live: file:DIRECTORY, static:FILE or etcd (default: ${DEFAULT_STORE}, or etcd with --etcd-endpoints)`,
  },
  etcdEndpoints: {
    name: "etcd-endpoints",
    value: "LIST",
    help: `etcd members, separated by commas (default: ${DEFAULT_ETCD_ENDPOINTS.join(",")})`,
  },
  etcdPrefix: {
    name: "etcd-prefix",
    value: "KEY",
    help: `folder of the keys in etcd (default: ${DEFAULT_ETCD_PREFIX})`,
  },
  etcdCafile: { name: "etcd-cafile", value: "PATH", help: "certificate of the authority that signed etcd's (PEM)" },
  etcdCertfile: { name: "etcd-certfile", value: "PATH", help: "this host's certificate for etcd (PEM)" },
  etcdKeyfile: { name: "etcd-keyfile", value: "PATH", help: "the key of that certificate (PEM)" },
  etcdUsername: { name: "etcd-username", value: "NAME", help: "user to log in to etcd as" },
  etcdPassword: {
    name: "etcd-password",
    value: "TEXT",
    help: "that user's password; every user of this host can read it in the list of processes, so rather:",
  },
  etcdPasswordFile: { name: "etcd-password-file", value: "PATH", help: "file that holds that user's password" },
} as const satisfies Record<string, Flag>;

/**
 * The store that the flags name. flannel's users give --etcd-endpoints and nothing else: any etcd flag means etcd.
 * @param read a flag's value from the command line or its environment variable
 * @throws BAD_OPTION
 */
export function storeChoice(read: (flag: Flag) => string | null): StoreChoice {
  const { store, ...etcdFlags } = STORE_FLAGS;
  const given = Object.values(etcdFlags).find((flag) => read(flag) !== null);
  const spec = read(store) ?? (given === undefined ? DEFAULT_STORE : ETCD);
  if (spec === ETCD) return { spec, etcd: checkedEtcdSettings(etcdSettings(read)) };
  if (given === undefined) return { spec, etcd: null };
  throw new HopsackError(
    "BAD_OPTION",
    `--${given.name} is for the store etcd, and --store is ${spec}; leave one of them away`,
  );
}

function etcdSettings(read: (flag: Flag) => string | null): EtcdSettings {
  return {
    endpoints:
      read(STORE_FLAGS.etcdEndpoints)
        ?.split(",")
        .map((text) => text.trim()) ?? DEFAULT_ETCD_ENDPOINTS,
    prefix: read(STORE_FLAGS.etcdPrefix) ?? DEFAULT_ETCD_PREFIX,
    caFile: read(STORE_FLAGS.etcdCafile),
    certFile: read(STORE_FLAGS.etcdCertfile),
    keyFile: read(STORE_FLAGS.etcdKeyfile),
    username: read(STORE_FLAGS.etcdUsername),
    password: read(STORE_FLAGS.etcdPassword),
    passwordFile: read(STORE_FLAGS.etcdPasswordFile),
  };
}

/** For people: `file:/var/lib/hopsack`, `etcd http://192.168.50.5:2379/coreos.com/network`. */
export function describeStore({ spec, etcd }: StoreChoice): string {
  return etcd === null ? spec : describeEtcd(etcd);
}
