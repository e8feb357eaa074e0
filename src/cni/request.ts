// One call of the plugin: environment and standard input as the CNI specification describes them, checked. Pure.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { CniCode, CniError } from "./cni-error.js";
import { type NetworkConfig, parseNetworkConfig } from "./network-config.js";
import { type CniVersion, NEWEST_VERSION, parseVersion, VERBS, type Verb } from "./versions.js";

/** One interface of one container. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
}

interface Add {
  readonly verb: "ADD";
  readonly attachment: Attachment;
  /** Path of the container's network namespace; null: a tap of the host, for a virtual machine (never asked for by CNI). */
  readonly netns: string | null;
}

interface Check {
  readonly verb: "CHECK";
  readonly attachment: Attachment;
  readonly netns: string;
}

interface Common {
  readonly cniVersion: CniVersion;
  readonly config: NetworkConfig;
  readonly environment: NodeJS.ProcessEnv;
}

export type Request = Common &
  (
    | Add
    | Check
    /** `netns` null: it is gone already. */
    | { readonly verb: "DEL"; readonly attachment: Attachment; readonly netns: string | null }
    | { readonly verb: "GC"; readonly valid: readonly Attachment[] }
    | { readonly verb: "STATUS" }
  );

export type AddRequest = Common & Add;
export type CheckRequest = Common & Check;

const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** It is part of a link's alias, which holds 255 bytes. */
const CONTAINER_ID_LIMIT = 128;
const IF_NAME_LIMIT = 15;

/** @throws CniError badEnvironment */
export function parseVerb(environment: NodeJS.ProcessEnv): Verb {
  const value = environment.CNI_COMMAND;
  const verb = VERBS.find((verb) => verb === value);
  if (verb !== undefined) return verb;
  const given = value === undefined ? "CNI_COMMAND is not set" : `CNI_COMMAND ${JSON.stringify(value)} is not known`;
  throw badEnvironment(`${given}; a container runtime sets it to ${VERBS.join(", ")}`);
}

/** @throws CniError undecodable */
export function parseInput(text: string): JsonObject {
  const hint = "a container runtime writes the network configuration there";
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    const words = error instanceof Error ? error.message : undefined;
    throw new CniError(CniCode.undecodable, `standard input is no JSON; ${hint}`, words);
  }
  if (isJsonObject(parsed)) return parsed;
  throw new CniError(CniCode.undecodable, `standard input is no JSON object; ${hint}`);
}

/** VERSION is answered whatever else is wrong. @throws CniError incompatibleVersion */
export function askedVersion(input: JsonObject): CniVersion {
  return input.cniVersion === undefined ? NEWEST_VERSION : parseVersion(input.cniVersion, "VERSION");
}

/** @throws CniError incompatibleVersion, badEnvironment, badConfig, unsupportedField */
export function parseRequest(
  verb: Exclude<Verb, "VERSION">,
  environment: NodeJS.ProcessEnv,
  input: JsonObject,
): Request {
  const cniVersion = parseVersion(input.cniVersion, verb);
  const common = { cniVersion, config: parseNetworkConfig(input), environment };
  switch (verb) {
    case "ADD":
    case "CHECK":
      return { ...common, verb, attachment: attachmentOf(environment), netns: requiredNetns(environment) };
    case "DEL":
      return { ...common, verb, attachment: attachmentOf(environment), netns: environment.CNI_NETNS || null };
    case "GC":
      return { ...common, verb, valid: validAttachments(input) };
    case "STATUS":
      return { ...common, verb };
  }
}

function attachmentOf(environment: NodeJS.ProcessEnv): Attachment {
  const containerId = required(environment, "CNI_CONTAINERID");
  if (!CONTAINER_ID.test(containerId) || containerId.length > CONTAINER_ID_LIMIT) {
    const rule = `letters, digits, "_", "." and "-", at most ${CONTAINER_ID_LIMIT}, a letter or digit first`;
    throw badEnvironment(`CNI_CONTAINERID ${JSON.stringify(containerId)} is not accepted; use ${rule}`);
  }
  const ifName = required(environment, "CNI_IFNAME");
  if (ifName.length > IF_NAME_LIMIT || ifName === "." || ifName === ".." || /[\s/:]/.test(ifName)) {
    const rule = `at most ${IF_NAME_LIMIT} characters, no blank, "/" or ":"`;
    throw badEnvironment(`CNI_IFNAME ${JSON.stringify(ifName)} cannot name an interface; use ${rule}`);
  }
  return { containerId, ifName };
}

function requiredNetns(environment: NodeJS.ProcessEnv): string {
  return required(environment, "CNI_NETNS");
}

function required(environment: NodeJS.ProcessEnv, name: string): string {
  const value = environment[name];
  if (value) return value;
  throw badEnvironment(`${name} is not set; a container runtime sets it`);
}

/** Everything not in this list goes, so nothing is guessed. */
function validAttachments(input: JsonObject): Attachment[] {
  const key = "cni.dev/valid-attachments";
  const list = input[key];
  const attachments = Array.isArray(list) ? list.map(validAttachment) : [undefined];
  return attachments.map((attachment) => {
    if (attachment !== undefined) return attachment;
    const given = JSON.stringify(list) ?? "missing";
    const rule = 'a list of {"containerID": "…", "ifname": "…"}';
    throw new CniError(CniCode.badConfig, `${key} is ${given}; GC needs ${rule}, and removes all that is not in it`);
  });
}

function validAttachment(value: unknown): Attachment | undefined {
  if (!isJsonObject(value)) return undefined;
  const { containerID, ifname } = value;
  return typeof containerID === "string" && typeof ifname === "string"
    ? { containerId: containerID, ifName: ifname }
    : undefined;
}

function badEnvironment(message: string): CniError {
  return new CniError(CniCode.badEnvironment, message);
}
