// Attachments that a person makes (`hopsack attach`) in the network of the host's pods: same addresses, same records. Their IDs
// begin with a word that no container runtime's do, so that a runtime's GC, which does not know them, leaves them alone.
import type { Attachment } from "./request.js";

const MARK = "by-hand.";

export function handIdOf(name: string): string {
  return `${MARK}${name}`;
}

export function isByHand({ containerId }: Attachment): boolean {
  return containerId.startsWith(MARK);
}

/** What the person called it. */
export function handName({ containerId }: Attachment): string {
  return containerId.slice(MARK.length);
}
