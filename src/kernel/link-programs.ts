// eBPF programs on a link's ways in and out where the kernel keeps none for a process (before Linux 6.6): filters of tc in the
// link's `clsact`, behind those that others have there. Ours are known by their name, which `tc filter show` shows.
import { errnoOf } from "../errors.js";
import type { Change, FilterChange } from "../netlink/change.js";
import type { Filter } from "../netlink/filter.js";
import { deviceAlias } from "./device-alias.js";
import type { Rtnetlink } from "./rtnetlink.js";

type Kernel = Pick<Rtnetlink, "filters" | "apply">;
type Place = Pick<FilterChange, "linkIndex" | "linkName">;
type Program = Omit<FilterChange, "kind" | "name" | "priority">;

/** Behind those without a priority of their own, which the kernel numbers from 49152 downwards. */
const PRIORITY = 50_000;
/** Ends the names of filters in a `clsact` that a hopsackd made, and that may go with the last of them. */
const OWN_CLSACT = " with its clsact";

/**
 * Attaches the programs, in the place of those that a killed run left there; the returned function takes them away again, as far as
 * the kernel lets it.
 * @throws KERNEL_REFUSED, NOT_PERMITTED; none of them stays then
 */
export function attachPrograms(kernel: Kernel, instance: string, programs: readonly Program[]): () => void {
  const detach = (): void => {
    for (const place of programs) kernel.apply(leftFilters(kernel, instance, place));
  };
  try {
    detach();
    for (const program of programs) attachProgram(kernel, instance, program);
  } catch (error) {
    detach();
    throw error;
  }
  return detach;
}

/** What takes our filters away from a link, and the `clsact` that a hopsackd made for them when nobody else uses it. */
export function leftFilters(kernel: Pick<Rtnetlink, "filters">, instance: string, place: Place): Change[] {
  const { linkIndex, linkName } = place;
  const present = kernel.filters(linkIndex);
  const ours = present.filter(({ name }) => isOf(name, instance));
  const changes: Change[] = ours.map((filter) => ({ ...filter, kind: "remove-filter", linkName }));
  const isLast = ours.length === present.length;
  return isLast && ours.some(isInOwnClsact) ? [...changes, { kind: "remove-clsact", linkIndex, linkName }] : changes;
}

function attachProgram(kernel: Kernel, instance: string, program: Program): void {
  const { linkIndex, linkName } = program;
  const name = deviceAlias(instance);
  const [refused] = kernel.apply([{ kind: "add-clsact", linkIndex, linkName }]);
  if (refused && errnoOf(refused.cause) !== "EEXIST") throw refused;
  const isOwn = !refused || kernel.filters(linkIndex).some(isInOwnClsact);
  const [failure] = kernel.apply([
    { ...program, kind: "add-filter", priority: PRIORITY, name: isOwn ? `${name}${OWN_CLSACT}` : name },
  ]);
  if (!failure) return;
  if (!refused) kernel.apply([{ kind: "remove-clsact", linkIndex, linkName }]);
  throw failure;
}

function isOf(name: string, instance: string): boolean {
  return [deviceAlias(instance), `${deviceAlias(instance)}${OWN_CLSACT}`].includes(name);
}

/** Of whichever instance. */
function isInOwnClsact({ name }: Filter): boolean {
  return name.startsWith(deviceAlias("")) && name.endsWith(OWN_CLSACT);
}
