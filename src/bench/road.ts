// Did the traffic take the mode's road? Asked before a measurement (the kernel's answer, the device's kind) and after it
// (the device's counters): a figure of another road is worse than none.
import { HopsackError } from "../errors.js";
import { run } from "../lab/command.js";

export interface Road {
  /** Namespace of the host that sends; null: this machine's own. Its device is asked about. */
  readonly netns: string | null;
  /** Where the traffic goes. */
  readonly address: string;
  /** Kind null: any, since a real card says none. */
  readonly device: { readonly name: string; readonly kind: string | null };
}

/** Packets and bytes of both directions. */
export interface Passed {
  readonly packets: number;
  readonly bytes: number;
}

/** A road counts as taken when its device moved this share of what arrived. */
const LEAST_SHARE = 0.9;

/** What the device has carried so far. @throws WRONG_ROAD when traffic to the address would not take it */
export async function enterRoad(road: Road, signal: AbortSignal): Promise<Passed> {
  const where = road.netns === null ? [] : ["-n", road.netns];
  const answer = await run("ip", [...where, "-j", "route", "get", road.address], { signal });
  checkRoute(road, answer);
  return readDevice(road, signal);
}

/** What it has carried since `before`. @throws WRONG_ROAD when that is less than the `bytes` that arrived */
export async function leaveRoad(road: Road, before: Passed, bytes: number, signal: AbortSignal): Promise<Passed> {
  const after = await readDevice(road, signal);
  const passed = { packets: after.packets - before.packets, bytes: after.bytes - before.bytes };
  checkPassed(road, passed, bytes);
  return passed;
}

async function readDevice({ netns, device }: Road, signal: AbortSignal): Promise<Passed> {
  const where = netns === null ? [] : ["-n", netns];
  const text = await run("ip", [...where, "-j", "-d", "-s", "link", "show", "dev", device.name], { signal });
  const [link] = parseJsonList<LinkAnswer>(text);
  const kind = link?.linkinfo?.info_kind ?? "none";
  if (device.kind !== null && kind !== device.kind) {
    throw wrongRoad(`${device.name} is of kind ${kind}, not ${device.kind}`);
  }
  const { rx, tx } = link?.stats64 ?? {};
  return {
    packets: (rx?.packets ?? 0) + (tx?.packets ?? 0),
    bytes: (rx?.bytes ?? 0) + (tx?.bytes ?? 0),
  };
}

/** @param answer of `ip -j route get`. @throws WRONG_ROAD */
export function checkRoute({ address, device }: Road, answer: string): void {
  const [route] = parseJsonList<{ readonly dev?: string }>(answer);
  if (route?.dev === device.name) return;
  throw wrongRoad(`packets to ${address} would leave by ${route?.dev ?? "no device"}, not by ${device.name}`);
}

/** @param bytes payload that arrived. @throws WRONG_ROAD */
export function checkPassed({ device }: Road, passed: Passed, bytes: number): void {
  if (passed.bytes >= bytes * LEAST_SHARE) return;
  throw wrongRoad(`${device.name} carried ${passed.bytes} of the ${bytes} bytes that arrived`);
}

interface LinkAnswer {
  readonly linkinfo?: { readonly info_kind?: string };
  readonly stats64?: { readonly rx?: Passed; readonly tx?: Passed };
}

function parseJsonList<T>(text: string): readonly T[] {
  const parsed: unknown = JSON.parse(text);
  return Array.isArray(parsed) ? (parsed as T[]) : [];
}

function wrongRoad(what: string): HopsackError {
  return new HopsackError("WRONG_ROAD", `traffic took another road: ${what}`);
}
