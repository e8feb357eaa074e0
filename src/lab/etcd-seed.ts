// Run inside the namespace of a lab's etcd: `node etcd-seed.js KEY ENDPOINT…`, the value on standard input. Waits until every
// member sees a leader, then puts the key. Speaks etcd's JSON gateway, so that a lab needs no etcd client.
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 50;
const ANSWER_LIMIT_MS = 2000;

const [key = "", ...endpoints] = process.argv.slice(2);
const value = await text(process.stdin);
await Promise.all(endpoints.map(untilHealthy));
const response = await fetch(`${endpoints[0]}/v3/kv/put`, {
  method: "POST",
  body: JSON.stringify({ key: base64(key), value: base64(value) }),
});
if (!response.ok) {
  process.stderr.write(`etcd refused the key ${key}: ${response.status} ${await response.text()}\n`);
  process.exitCode = 1;
}

/** For ever: who starts this sets the limit. */
async function untilHealthy(endpoint: string): Promise<void> {
  while (!(await isHealthy(endpoint))) await delay(POLL_MS);
}

/** A member without a leader answers 503. */
async function isHealthy(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })).ok;
  } catch {
    return false; // not listening yet
  }
}

function base64(plain: string): string {
  return Buffer.from(plain).toString("base64");
}
