// What a policy says, as values: who may talk to the pods that it selects, and whom they may talk to. A pod that no policy selects is
// open. Rich enough for a Kubernetes NetworkPolicy: a selector is a list of requirements, a namespace a label of the pod.
import type { Prefix } from "../net/prefix.js";

export type Labels = Readonly<Record<string, string>>;

/** Of one label. `in` and `not-in` look at its value; a pod without the label fulfils `not-in`. */
export type Requirement =
  | { readonly key: string; readonly operator: "in" | "not-in"; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: "exists" | "absent" };

/** All of them must be fulfilled; none: every pod of this host. */
export type Selector = readonly Requirement[];

/** What the rules call by a name: pods of this host, and addresses wherever they are. */
export interface Group {
  readonly name: string;
  readonly pods: readonly Selector[];
  readonly prefixes: readonly Prefix[];
}

/** `icmp` is ICMP and ICMPv6. */
export type Protocol = "tcp" | "udp" | "sctp" | "icmp";

interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface Traffic {
  readonly protocol: Protocol;
  /** null: every port, and always with icmp. */
  readonly ports: PortRange | null;
}

/** Traffic of one kind with one of these; the other end is who sends in `ingress`, who receives in `egress`. */
export interface Rule {
  /** Names of groups; null: everybody. */
  readonly groups: readonly string[] | null;
  /** null: everything. */
  readonly traffic: readonly Traffic[] | null;
}

export type Direction = "ingress" | "egress";
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** What several policies allow the same pod adds up. */
export interface Policy {
  readonly name: string;
  readonly pods: Selector;
  /** Everything else is refused; null: this policy does not speak of the direction. */
  readonly ingress: readonly Rule[] | null;
  readonly egress: readonly Rule[] | null;
}

export interface PolicySet {
  readonly groups: readonly Group[];
  readonly policies: readonly Policy[];
}

export function selects(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => isFulfilled(requirement, labels[requirement.key]));
}

function isFulfilled(requirement: Requirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    case "in":
      return value !== undefined && requirement.values.includes(value);
    case "not-in":
      return value === undefined || !requirement.values.includes(value);
    case "exists":
      return value !== undefined;
    case "absent":
      return value === undefined;
  }
}
