// Policies and pods for people, for `hopsack policy show` and `hopsack status`. Pure.
import { formatLabels } from "../policy/labels.js";
import type { Pod } from "../policy/pod-records.js";
import { DIRECTIONS } from "../policy/policy.js";
import type { PolicyReport } from "../policy/policy-report.js";
import { formatBytes, formatCount, type Paint, tableLines, withDimTitles } from "./output.js";

/** As scripts see it, too. */
export interface ShownPod extends Omit<Pod, "hostLink" | "bridgeMac"> {
  /** Their names; none: it is open. */
  readonly policies: readonly string[];
}

/** One line for each direction that a policy speaks of. */
export function policyLines(policies: readonly PolicyReport[], paint: Paint): string[] {
  const columns = ["policy", "pods", "", "allowed", "bytes", "denied", "bytes"].map((title, index) => ({
    title,
    isRightAligned: index === 1 || index > 2,
  }));
  const rows = policies.flatMap((policy) =>
    DIRECTIONS.flatMap((direction) => {
      const counts = policy[direction];
      if (counts === null) return [];
      const { allowed, denied } = counts;
      const amounts = [allowed, denied].flatMap(({ packets, bytes }) => [formatCount(packets), formatBytes(bytes)]);
      return [[policy.name, formatCount(policy.pods), direction, ...amounts]];
    }),
  );
  return [paint.bold("policies"), ...withDimTitles(tableLines(columns, rows), paint)];
}

export function podLines(pods: readonly ShownPod[], paint: Paint): string[] {
  if (pods.length === 0) return ["no pods on this host"];
  const columns = ["container", "addresses", "policies", "labels"].map((title) => ({ title }));
  const rows = pods.map(({ containerId, addresses, policies, labels }) => [
    containerId,
    addresses.join(", "),
    policies.join(", ") || "open",
    formatLabels(labels),
  ]);
  return [paint.bold("pods"), ...withDimTitles(tableLines(columns, rows), paint)];
}
