// Does every pod reach every other? One small shell per pod pings all the others at once, a bounded number of pods at a
// time; what fails is tried again until the limit.
import { setTimeout as delay } from "node:timers/promises";
import { attempt, mapBounded } from "./command.js";

const PODS_AT_ONCE = 8;
const RETRY_MS = 100;
/** Destinations as arguments, the unanswered ones on standard output; 32 pings in flight. */
const PING_SCRIPT = `
n=0
for address do
  { ping -n -q -c 1 -W 1 "$address" >/dev/null 2>&1 || echo "$address"; } &
  n=$((n + 1))
  if [ $((n % 32)) -eq 0 ]; then wait; fi
done
wait
`;

export interface PingSource {
  readonly name: string;
  readonly netns: string;
  /** Addresses others ping, without prefix length. */
  readonly addresses: readonly string[];
}

export interface FailedPing {
  readonly from: string;
  readonly to: string;
  readonly address: string;
}

/** The pairs that still fail when `limitMs` is over; none as soon as all have answered once. */
export async function pingAllPairs(
  pods: readonly PingSource[],
  limitMs: number,
  signal: AbortSignal,
): Promise<FailedPing[]> {
  const deadline = performance.now() + limitMs;
  let failed = pods.flatMap((from) => pods.filter((to) => to !== from).flatMap((to) => pairs(from, to)));
  for (;;) {
    failed = await pingOnce(pods, failed, signal);
    if (failed.length === 0 || performance.now() >= deadline) return failed;
    await delay(RETRY_MS, undefined, { signal });
  }
}

function pairs(from: PingSource, to: PingSource): FailedPing[] {
  return to.addresses.map((address) => ({ from: from.name, to: to.name, address }));
}

/** Which of `wanted` get no answer. */
async function pingOnce(
  pods: readonly PingSource[],
  wanted: readonly FailedPing[],
  signal: AbortSignal,
): Promise<FailedPing[]> {
  const sources = pods.filter((pod) => wanted.some((pair) => pair.from === pod.name));
  const failed = await mapBounded(sources, PODS_AT_ONCE, signal, async (pod, either) => {
    const mine = wanted.filter((pair) => pair.from === pod.name);
    const addresses = mine.map((pair) => pair.address);
    const args = ["netns", "exec", pod.netns, "sh", "-c", PING_SCRIPT, "sh", ...addresses];
    const { stdout, status } = await attempt("ip", args, { signal: either });
    const unanswered = new Set(stdout.split("\n"));
    return mine.filter((pair) => status !== 0 || unanswered.has(pair.address));
  });
  return failed.flat();
}
