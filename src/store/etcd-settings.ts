// Where an etcd cluster is and how to log in: the values of the --etcd-* options, and their check.
import { HopsackError } from "../errors.js";

export interface EtcdSettings {
  /** `http://192.168.50.5:2379` or `https://…`, all of one scheme. */
  readonly endpoints: readonly string[];
  /** Folder of the network's keys; no slash at the end. */
  readonly prefix: string;
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly username: string | null;
  readonly password: string | null;
  /** Holds the password instead; a newline at its end does not count. */
  readonly passwordFile: string | null;
}

export const DEFAULT_ETCD_ENDPOINTS = ["http://127.0.0.1:2379"];
/** flannel's. */
export const DEFAULT_ETCD_PREFIX = "/coreos.com/network";

const ENDPOINT = /^https?:\/\/(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?\/?$/;
const DEFAULT_PORT = 2379;

/**
 * The settings, endpoints as `scheme://host:port` and the prefix as `/a/b`.
 * @throws BAD_OPTION naming option, value, and what is accepted
 */
export function checkedEtcdSettings(settings: EtcdSettings): EtcdSettings {
  const { certFile, keyFile, username, password, passwordFile } = settings;
  if (settings.endpoints.join().includes("@")) {
    throw bad("--etcd-endpoints holds a user or password; give --etcd-username and --etcd-password-file instead");
  }
  const endpoints = settings.endpoints.map(checkedEndpoint);
  const isSecure = endpoints.some((endpoint) => endpoint.startsWith("https:"));
  if (isSecure && !endpoints.every((endpoint) => endpoint.startsWith("https:"))) {
    throw bad(`--etcd-endpoints ${endpoints.join(",")} mixes http and https; use one of them for all`);
  }
  if (endpoints.length === 0) throw bad('--etcd-endpoints "" names no endpoint; give http://HOST:2379');
  if (!isSecure) checkPlain(settings, endpoints);
  if ((certFile === null) !== (keyFile === null)) {
    const [given, missing] =
      certFile === null ? ["--etcd-keyfile", "--etcd-certfile"] : ["--etcd-certfile", "--etcd-keyfile"];
    throw bad(`${given} needs ${missing} beside it; give both or neither`);
  }
  if (password !== null && passwordFile !== null) {
    throw bad("--etcd-password and --etcd-password-file are both given; give one of them");
  }
  if (username === null && (password ?? passwordFile) !== null) {
    throw bad("an etcd password is given without --etcd-username; give both or neither");
  }
  if (username !== null && (password ?? passwordFile) === null) {
    throw bad(`--etcd-username ${username} has no password; give --etcd-password-file PATH`);
  }
  return { ...settings, endpoints, prefix: checkedPrefix(settings.prefix) };
}

function checkPlain(settings: EtcdSettings, endpoints: readonly string[]): void {
  const files = { cafile: settings.caFile, certfile: settings.certFile, keyfile: settings.keyFile };
  for (const [name, path] of Object.entries(files)) {
    if (path === null) continue;
    throw bad(
      `--etcd-${name} ${path} means TLS, and --etcd-endpoints ${endpoints.join(",")} is plain http; use https://`,
    );
  }
}

function checkedEndpoint(text: string): string {
  const endpoint = /^[a-z]+:\/\//.test(text) ? text : `http://${text}`;
  const port = /:([0-9]+)\/?$/.exec(endpoint)?.[1];
  if (!ENDPOINT.test(endpoint) || !URL.canParse(endpoint) || Number(port) === 0) {
    throw bad(
      `--etcd-endpoints ${JSON.stringify(text)} is not an endpoint; give http://HOST:PORT or https://HOST:PORT`,
    );
  }
  const bare = endpoint.replace(/\/$/, "");
  return port === undefined ? `${bare}:${DEFAULT_PORT}` : bare;
}

function checkedPrefix(text: string): string {
  const prefix = `/${text.replace(/^\/+|\/+$/g, "")}`;
  if (prefix !== "/" && !/\s|\/\//.test(prefix)) return prefix;
  throw bad(`--etcd-prefix ${JSON.stringify(text)} is not a key prefix; give one such as ${DEFAULT_ETCD_PREFIX}`);
}

function bad(sentence: string): HopsackError {
  return new HopsackError("BAD_OPTION", sentence);
}

/** For people, and for telling two stores apart; never a password. */
export function describeEtcd({ endpoints, prefix }: EtcdSettings): string {
  return `etcd ${endpoints.join(",")}${prefix}`;
}
