// A day in minutes: leases come and go, one host's daemon is taken over again and again, somebody scrapes, and pings pass all the time.
// What may grow is looked at each second. Called by test/soak/soak.ts for the whole, by test/netns/soak.test.ts for a small part.
//
//   a: eth0 192.168.50.10 ──┐            its daemon is taken over; processes are compared with each other at the same age
//                           ├── br0
//   b: eth0 192.168.50.11 ──┘            its daemon lives through all of it
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { Test } from "tap";
import { type Daemon, type Host, makeHost } from "./hopsackd.js";
import { loopLagP99, Scrape } from "./metrics.js";
import { run } from "./netns.js";
import { Place } from "./place.js";
import { residentMegabytes } from "./usage.js";

/** 2,000 lease changes, 200 takeovers and 10,000 scrapes in 14 minutes. */
const LEASE_CHANGE_MS = 420;
const TAKEOVER_MS = 4200;
const SCRAPE_MS = 84;
const LOOK_MS = 1000;
const PING_SECONDS = 0.02;
/** Simulated hosts of which each change adds one or takes one away. */
const GUESTS = 50;
/** Of resident memory, either way. */
const GROWTH_LIMIT = 0.05;

interface Look {
  readonly memoryMegabytes: number;
  readonly descriptors: number;
}

interface Growth {
  readonly first: Look;
  readonly last: Look;
}

export interface SoakReport {
  readonly leaseChanges: number;
  readonly takeovers: number;
  readonly scrapes: number;
  readonly pingsSent: number;
  readonly pingsLost: number;
  readonly lagP99Seconds: number;
  /** Of the daemon that lives through all of it, and of the one that is taken over. */
  readonly lasting: Growth;
  readonly replaced: Growth;
}

/** What of it is not as it should be; empty when all is well. */
export function shortcomings({ lasting, replaced, pingsLost }: SoakReport): string[] {
  const ofProcess = (name: string, { first, last }: Growth): string[] => [
    ...(Math.abs(last.memoryMegabytes / first.memoryMegabytes - 1) <= GROWTH_LIMIT ? [] : [`${name}: resident memory`]),
    ...(last.descriptors <= first.descriptors ? [] : [`${name}: open file descriptors`]),
  ];
  return [
    ...ofProcess("the lasting daemon", lasting),
    ...ofProcess("the daemon that is taken over", replaced),
    ...(pingsLost === 0 ? [] : ["lost pings"]),
  ];
}

export function describeReport(report: SoakReport): string[] {
  const growth = ({ first, last }: Growth): string => {
    const percent = (100 * (last.memoryMegabytes / first.memoryMegabytes - 1)).toFixed(1);
    const memory = `${first.memoryMegabytes.toFixed(1)} → ${last.memoryMegabytes.toFixed(1)} MB (${percent} %)`;
    return `resident memory ${memory}, descriptors ${first.descriptors} → ${last.descriptors}`;
  };
  const { leaseChanges, takeovers, scrapes, pingsSent, pingsLost, lagP99Seconds, lasting, replaced } = report;
  return [
    `${leaseChanges} lease changes, ${takeovers} takeovers, ${scrapes} scrapes`,
    `lasting daemon, first quarter → last:  ${growth(lasting)}`,
    `processes taken over, at one age:      ${growth(replaced)}`,
    `pings: ${pingsLost} of ${pingsSent} lost`,
    `event loop of the lasting daemon: p99 within ${lagP99Seconds * 1000} ms`,
  ];
}

export async function soak(t: Test, seconds: number): Promise<SoakReport> {
  const place = new Place(t);
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const [first, lasting] = await place.startAll(t, [a, b]);
  if (first === undefined || lasting === undefined) throw new Error("no daemons");
  run("ip -n b addr add 10.244.2.1/32 dev lo");
  const over = AbortSignal.timeout(seconds * 1000);
  const pinging = startPings(t, a, "10.244.2.1");

  const looks: Look[] = [];
  const replacedLooks: Look[] = [];
  const work = { leaseChanges: 0, takeovers: 0, scrapes: 0 };
  let running = first;
  await Promise.all([
    each(LOOK_MS, over, async () => void looks.push(lookAt(lasting.pid))),
    each(LEASE_CHANGE_MS, over, async () => changeLease(place, work.leaseChanges++)),
    each(SCRAPE_MS, over, async () => {
      await scrapeAgain(place.socket(b));
      work.scrapes++;
    }),
    each(TAKEOVER_MS, over, async () => {
      replacedLooks.push(lookAt(running.pid));
      running = await takeOver(t, place, a, running);
      work.takeovers++;
    }),
  ]);
  const lagP99Seconds = loopLagP99(await scrapeAgain(place.socket(b)));
  const pings = await pinging.end();
  return { ...work, ...pings, lagP99Seconds, lasting: growthOf(looks), replaced: growthOf(replacedLooks) };
}

/** Again and again, one at a time, as often as once in `pauseMs`. */
async function each(pauseMs: number, over: AbortSignal, deed: () => Promise<void>): Promise<void> {
  for (let dueAt = performance.now() + pauseMs; !over.aborted; dueAt += pauseMs) {
    await delay(Math.max(0, dueAt - performance.now()));
    if (!over.aborted) await deed();
  }
}

async function takeOver(t: Test, place: Place, host: Host, old: Daemon): Promise<Daemon> {
  const next = place.start(t, host, "--takeover", place.socket(host));
  await next.logged("ready");
  await old.ended;
  return next;
}

/** Guests join one after the other, and leave in the same order. */
function changeLease(place: Place, count: number): void {
  const guest = count % GUESTS;
  const folder = join(place.store, "subnets");
  const path = join(folder, `10.244.${100 + guest}.0-24.json`);
  if (Math.floor(count / GUESTS) % 2 === 1) {
    rmSync(path);
    return;
  }
  const lease = { PublicIP: `192.168.50.${100 + guest}`, PublicIPv6: null, BackendType: "udp", Node: `guest${guest}` };
  writeFileSync(join(folder, ".new"), JSON.stringify(lease));
  renameSync(join(folder, ".new"), path);
}

async function scrapeAgain(socketPath: string): Promise<Scrape> {
  const query = request({ socketPath, path: "/metrics", agent: false }).end();
  const [response] = await once(query, "response");
  return new Scrape(await text(response));
}

function lookAt(pid: number): Look {
  return { memoryMegabytes: residentMegabytes(pid), descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** Medians of the first and of the last quarter. */
function growthOf(looks: readonly Look[]): Growth {
  const quarter = Math.max(1, Math.floor(looks.length / 4));
  const median = (values: readonly number[]): number =>
    values.toSorted((x, y) => x - y)[Math.floor(values.length / 2)] ?? Number.NaN;
  const middle = (some: readonly Look[]): Look => ({
    memoryMegabytes: median(some.map(({ memoryMegabytes }) => memoryMegabytes)),
    descriptors: median(some.map(({ descriptors }) => descriptors)),
  });
  return { first: middle(looks.slice(0, quarter)), last: middle(looks.slice(-quarter)) };
}

function startPings(t: Test, host: Host, target: string) {
  const words = ["netns", "exec", host.name, "ping", "-q", "-n", "-i", `${PING_SECONDS}`, target];
  const child = spawn("ip", words, { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  const said = text(child.stdout);
  return {
    end: async () => {
      child.kill("SIGINT");
      const summary = /(\d+) packets transmitted, (\d+) received/.exec(await said);
      const [pingsSent, received] = [Number(summary?.[1]), Number(summary?.[2])];
      return { pingsSent, pingsLost: pingsSent - received };
    },
  };
}
