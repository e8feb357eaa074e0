// What a failed call to etcd means to the user: one sentence with endpoint, reason and cure. Called by etcd-client.ts.
import { HopsackError, messageOf } from "../errors.js";
import type { EtcdSettings } from "./etcd-settings.js";

/** gRPC status codes, as they stand at the front of the client library's messages: `14 UNAVAILABLE: …`. */
const DEADLINE_EXCEEDED = 4;
const CONNECTION_CODES = [1, DEADLINE_EXCEEDED, 13, 14];
/** etcd's own words for "not this member, or not now". */
const MEMBER_TROUBLE =
  /no leader|leader changed|request timed out|server stopped|not leader|stopping|too many requests/i;

type Diagnosis = readonly [RegExp, (settings: EtcdSettings) => string];

/** What the cluster says, whichever member is asked; no waiting cures it. */
const CLUSTER_REFUSALS: readonly Diagnosis[] = [
  [
    /invalid user ID or password/,
    ({ username }) =>
      `the password of user ${username} is wrong or there is no such user; correct --etcd-username and --etcd-password-file`,
  ],
  [
    /user name is empty|auth(?:entication)? (?:token )?is not provided/,
    () => "it asks for a user; give --etcd-username and --etcd-password-file",
  ],
  [
    /permission denied/,
    ({ username, prefix }) =>
      `user ${username ?? "of the client certificate"} lacks permission for ${prefix}; ` +
      `grant it with: etcdctl role grant-permission ROLE readwrite --prefix=true ${prefix}/`,
  ],
];

/** What no waiting cures either, but another member may be without: certificates are each member's own. */
const MEMBER_REFUSALS: readonly Diagnosis[] = [
  [
    /Hostname\/IP does not match|altnames/i,
    () => "its certificate is for another name; use the name it was made for in --etcd-endpoints",
  ],
  [
    /self.signed certificate|unable to (?:verify|get)|certificate has expired|CERT_|unknown ca|not trusted/i,
    ({ caFile }) =>
      `its certificate is not signed by ${caFile ?? "an authority this system trusts"}; correct --etcd-cafile`,
  ],
  [
    /wrong version number|packet length too long|EPROTO/i,
    () => "it does not speak TLS; use http:// in --etcd-endpoints",
  ],
  [
    /certificate required|bad certificate|handshake failure/i,
    () => "it asks for a client certificate; give --etcd-certfile and --etcd-keyfile",
  ],
];

/** Whether another member may answer what this one did not. */
export function isMemberTrouble(error: unknown): boolean {
  const message = messageOf(error);
  if (CLUSTER_REFUSALS.some(([pattern]) => pattern.test(message))) return false;
  return CONNECTION_CODES.includes(statusCode(message)) || MEMBER_TROUBLE.test(message);
}

/** @param endpoint the last one tried */
export function etcdError(error: unknown, endpoint: string, settings: EtcdSettings): HopsackError {
  if (error instanceof HopsackError) return error;
  const message = messageOf(error);
  const unavailable = (sentence: string, retryable: boolean) =>
    new HopsackError("STORE_UNAVAILABLE", sentence, { retryable, cause: error });
  const lasting = [...CLUSTER_REFUSALS, ...MEMBER_REFUSALS].find(([pattern]) => pattern.test(message));
  if (lasting !== undefined)
    return unavailable(`etcd at ${endpoint} refuses this host: ${lasting[1](settings)}`, false);
  const reason = plainReason(message);
  if (!isMemberTrouble(error)) return unavailable(`etcd at ${endpoint} refuses: ${reason}`, true);
  const all = settings.endpoints.join(", ");
  const scheme = endpoint.startsWith("http:") ? "https:// if it speaks TLS" : "http:// if it speaks no TLS";
  const cure = `start it, or correct --etcd-endpoints (${scheme})`;
  return unavailable(`no etcd answers at ${all} (${reason}); ${cure}`, true);
}

function statusCode(message: string): number {
  return Number(/^(\d+) [A-Z_]+:/.exec(message)?.[1] ?? -1);
}

/** `14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED …` without the library's frame. */
function plainReason(message: string): string {
  if (statusCode(message) === DEADLINE_EXCEEDED) return "it does not answer in time";
  const bare = message.replace(/^\d+ [A-Z_]+: /, "").replace(/^No connection established\. Last error: /, "");
  return (
    bare
      .replace(/^(?:Error: )+/, "")
      .replace(/\.? Resolution note:.*$/s, "")
      .split("\n")[0] ?? bare
  );
}
