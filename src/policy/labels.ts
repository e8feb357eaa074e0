// Labels of pods: what may be one, and how they are written on a command line. Kubernetes' rules, so that its labels fit.
import type { Labels } from "./policy.js";

/** Of pods that Kubernetes starts: as container runtimes label their containers. */
export const NAMESPACE_LABEL = "io.kubernetes.pod.namespace";
export const NAME_LABEL = "io.kubernetes.pod.name";

const KEY = /^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$/;
const KEY_LIMIT = 317;
const VALUE = /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/;
const VALUE_LIMIT = 63;

/** Why a label cannot be used, as one sentence; null: it can. */
export function labelFault(key: string, value: unknown): string | null {
  if (!KEY.test(key) || key.length > KEY_LIMIT) {
    const rule = 'letters, digits, "-", "_", "." and "/", a letter or digit first and last';
    return `the label ${JSON.stringify(key)} cannot be used; give ${rule}`;
  }
  if (typeof value === "string" && VALUE.test(value) && value.length <= VALUE_LIMIT) return null;
  const rule = `at most ${VALUE_LIMIT} letters, digits, "-", "_" and ".", a letter or digit first and last`;
  return `the label ${key} cannot have the value ${JSON.stringify(value) ?? "undefined"}; give ${rule}`;
}

/** `role=web` sets a label, `role-` takes it away, as in kubectl; undefined when the word is neither. */
export function parseLabelChange(word: string): { readonly key: string; readonly value: string | null } | undefined {
  const [key = "", ...rest] = word.split("=");
  if (rest.length > 0) return { key, value: rest.join("=") };
  return word.endsWith("-") ? { key: word.slice(0, -1), value: null } : undefined;
}

/** `app=shop role=web`, sorted; empty without labels. */
export function formatLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(" ");
}
