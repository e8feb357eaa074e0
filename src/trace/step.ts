// One place at which a traced packet, its answer or an error about it was seen.
import type { Sighting } from "../capture/sighting.js";
import type { Way } from "./mark.js";

export interface Step {
  readonly member: string;
  readonly way: Way;
  /** Since the epoch. */
  readonly timeSeconds: number;
  readonly device: string;
  readonly direction: Sighting["direction"];
  readonly kind: Sighting["kind"];
  readonly lengthBytes: number;
  readonly layers: Sighting["layers"];
  /** What stands in front of the packet where it is wrapped; else empty. */
  readonly wrapping: Uint8Array;
}

export function stepOf(member: string, way: Way, sighting: Sighting): Step {
  const { timeSeconds, device, direction, kind, lengthBytes, layers, bytes } = sighting;
  const inner = layers.findLast(({ title }) => title === "IPv4")?.offset ?? 0;
  return {
    member,
    way,
    timeSeconds,
    device,
    direction,
    kind,
    lengthBytes,
    layers,
    wrapping: bytes.subarray(0, inner),
  };
}
