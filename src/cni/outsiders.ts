// Who attaches beside the container runtime, in the network of the host's pods: a person (`hopsack attach`) and Podman's netavark.
// Same addresses, same records; but their container IDs begin with a word that no runtime's do, so that the runtime's GC, which
// does not know them, leaves them alone.
import type { Attachment } from "./request.js";

const MARKS = { person: "by-hand.", netavark: "netavark." } as const;
type Outsider = keyof typeof MARKS;

export function containerIdOf(who: Outsider, name: string): string {
  return `${MARKS[who]}${name}`;
}

/** What it was given to containerIdOf() as; null when it is somebody else's. */
export function nameFor(who: Outsider, { containerId }: Attachment): string | null {
  return containerId.startsWith(MARKS[who]) ? containerId.slice(MARKS[who].length) : null;
}

export function isOutsider({ containerId }: Attachment): boolean {
  return Object.values(MARKS).some((mark) => containerId.startsWith(mark));
}
