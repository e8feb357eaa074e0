// What policies need to know of a pod, from the call that attached it and from what was answered. Pure.
import { isJsonObject } from "../lease/json-object.js";
import { NAME_LABEL, NAMESPACE_LABEL } from "../policy/labels.js";
import type { Pod } from "../policy/pod-records.js";
import type { Labels } from "../policy/policy.js";
import type { AddRequest } from "./request.js";
import { addressesIn } from "./result.js";

/** @param result as ADD prints it */
export function knownPod(request: AddRequest, result: string): Pod {
  const { config, attachment } = request;
  const json: unknown = JSON.parse(result);
  const known = isJsonObject(json) ? json : {};
  return {
    network: config.name,
    ...attachment,
    addresses: addressesIn(known, attachment.ifName).map((address) => address.replace(/\/.*/, "")),
    ...hostSide(known.interfaces, config.attach === "bridge"),
    labels: { ...config.labels, ...kubernetesLabels(request.environment.CNI_ARGS ?? "") },
  };
}

/** The host's end stands in front of the container's, and with the plugin `bridge` the bridge in front of both. */
function hostSide(interfaces: unknown, mayHaveBridge: boolean): Pick<Pod, "hostLink" | "bridgeMac"> {
  const listed = (Array.isArray(interfaces) ? interfaces : []).filter(isJsonObject);
  const ofHost = listed.filter(({ sandbox }) => !sandbox);
  const [bridge, link] = [ofHost.at(-2), ofHost.at(-1)];
  return {
    hostLink: typeof link?.name === "string" ? link.name : null,
    bridgeMac: mayHaveBridge && typeof bridge?.mac === "string" ? bridge.mac : null,
  };
}

/** Kubernetes tells namespace and name of a pod, but not its labels. */
function kubernetesLabels(args: string): Labels {
  const words = new Map(args.split(";").map((word) => [word.replace(/=.*/s, ""), word.replace(/^[^=]*=?/, "")]));
  const pairs = [
    [NAMESPACE_LABEL, words.get("K8S_POD_NAMESPACE")],
    [NAME_LABEL, words.get("K8S_POD_NAME")],
  ] as const;
  return Object.fromEntries(pairs.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}
