// What each policy does on this host, for `hopsack policy show`, the status and the metrics. Pure.
import { counterName, policiesOf } from "./compile.js";
import type { Counted } from "./host-policy.js";
import { type Pod, podKey } from "./pod-records.js";
import { DIRECTIONS, type Direction, type PolicySet } from "./policy.js";

/** Since the policy is in force: `allowed` by its rules, answers left out; `denied` of its pods' traffic, by all policies together. */
interface DirectionCounts {
  readonly allowed: Counted;
  readonly denied: Counted;
}

export interface PolicyReport {
  readonly name: string;
  /** How many it protects on this host. */
  readonly pods: number;
  /** null: it does not speak of this direction. */
  readonly ingress: DirectionCounts | null;
  readonly egress: DirectionCounts | null;
}

const NOTHING: Counted = { packets: 0, bytes: 0 };

export function policyReports(
  { policies }: PolicySet,
  pods: readonly Pod[],
  counters: ReadonlyMap<string, Counted>,
): PolicyReport[] {
  return policies.map((policy) => {
    const counts = (direction: Direction): DirectionCounts | null => {
      if (policy[direction] === null) return null;
      const of = (verdict: "allowed" | "denied"): Counted =>
        counters.get(counterName(direction, verdict, policy.name)) ?? NOTHING;
      return { allowed: of("allowed"), denied: of("denied") };
    };
    const isProtected = (pod: Pod): boolean =>
      DIRECTIONS.some((direction) => policiesOf(pod, [policy], direction).length > 0);
    const mine = new Set(pods.filter(isProtected).map(podKey));
    return { name: policy.name, pods: mine.size, ingress: counts("ingress"), egress: counts("egress") };
  });
}
