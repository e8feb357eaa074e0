// The flags that say where the leases live, the same for hopsackd and `hopsack leases`. flannel's users give
// --etcd-endpoints alone: that means --store etcd.
import { HopsackError } from "../errors.js";
import {
  checkedEtcdSettings,
  DEFAULT_ETCD_ENDPOINTS,
  DEFAULT_ETCD_PREFIX,
  type EtcdSettings,
} from "../store/etcd-settings.js";
import { type Flag, type GivenOptions, originOf, readValue } from "./flags.js";
import * as values from "./option-values.js";

export interface StoreOptions {
  /** For openStore(): `file:DIR`, `static:FILE` or `etcd`. */
  readonly store: string;
  /** null unless `store` is etcd. */
  readonly etcd: EtcdSettings | null;
}

const DEFAULT_STORE = "file:/var/lib/hopsack";

const STORE_FLAG: Flag = {
  name: "store",
  value: "SPEC",
  help: `where the leases live: file:DIRECTORY, static:FILE or etcd (default: ${DEFAULT_STORE})`,
};

const ETCD_FLAGS = {
  endpoints: {
    name: "etcd-endpoints",
    value: "LIST",
    help: `members of the etcd cluster, separated by commas; means --store etcd (default: ${DEFAULT_ETCD_ENDPOINTS.join(",")})`,
  },
  prefix: {
    name: "etcd-prefix",
    value: "KEY",
    help: `folder of the network's keys in etcd (default: ${DEFAULT_ETCD_PREFIX})`,
  },
  caFile: { name: "etcd-cafile", value: "PATH", help: "certificate authority that signed etcd's certificates" },
  certFile: { name: "etcd-certfile", value: "PATH", help: "certificate to show to etcd" },
  keyFile: { name: "etcd-keyfile", value: "PATH", help: "key of that certificate" },
  username: { name: "etcd-username", value: "NAME", help: "etcd user" },
  password: {
    name: "etcd-password",
    value: "TEXT",
    help: "its password; a file or the environment keeps it from other users' eyes",
  },
  passwordFile: { name: "etcd-password-file", value: "PATH", help: "file that holds the password" },
} as const satisfies Record<string, Flag>;

export const STORE_FLAGS: readonly Flag[] = [STORE_FLAG, ...Object.values(ETCD_FLAGS)];

/** @throws BAD_OPTION naming flag or variable, value, and what is accepted; never a password */
export function readStoreOptions(given: GivenOptions, env: NodeJS.ProcessEnv): StoreOptions {
  const store = readValue(STORE_FLAG, values.anyText, given, env);
  const etcdOrigin = Object.values(ETCD_FLAGS)
    .map((flag) => originOf(flag, given, env))
    .find((origin) => origin !== null);
  if (store !== "etcd" && etcdOrigin === undefined) return { store: store ?? DEFAULT_STORE, etcd: null };
  if (store !== null && store !== "etcd") {
    const sentence = `${originOf(STORE_FLAG, given, env)} ${store} is another store than the etcd of ${etcdOrigin}; give one of them`;
    throw new HopsackError("BAD_OPTION", sentence);
  }
  return { store: "etcd", etcd: readEtcdSettings(given, env) };
}

function readEtcdSettings(given: GivenOptions, env: NodeJS.ProcessEnv): EtcdSettings {
  const read = <T>(flag: Flag, parser: values.ValueParser<T>): T | null => readValue(flag, parser, given, env);
  return checkedEtcdSettings({
    endpoints: read(ETCD_FLAGS.endpoints, values.commaList) ?? DEFAULT_ETCD_ENDPOINTS,
    prefix: read(ETCD_FLAGS.prefix, values.anyText) ?? DEFAULT_ETCD_PREFIX,
    caFile: read(ETCD_FLAGS.caFile, values.path),
    certFile: read(ETCD_FLAGS.certFile, values.path),
    keyFile: read(ETCD_FLAGS.keyFile, values.path),
    username: read(ETCD_FLAGS.username, values.anyText),
    password: read(ETCD_FLAGS.password, values.anyText),
    passwordFile: read(ETCD_FLAGS.passwordFile, values.path),
  });
}

const PASSWORD_FLAG = /^--?etcd-password$/;
const PASSWORD_ASSIGNMENT = /^(--?etcd-password=).*$/s;
const MASK = "***";

/**
 * What `ps` may show of a command line that holds a password: the same without it; null when it holds none. To become
 * process.title at once.
 */
export function titleWithoutPassword(argv: readonly string[]): string | null {
  const shown = argv.map((argument, index) =>
    PASSWORD_FLAG.test(argv[index - 1] ?? "") ? MASK : argument.replace(PASSWORD_ASSIGNMENT, `$1${MASK}`),
  );
  return shown.some((text, index) => text !== argv[index]) ? shown.join(" ") : null;
}
