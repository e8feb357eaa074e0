// The lab's folder under /run/hopsack/labs: what was asked for, who builds it, which daemons run. Written first of all,
// so that whatever a crash leaves is found again by `lab down`.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { ProcessRecord } from "./process-record.js";
import { LABS_FOLDER, type LabSpec, labFolder } from "./topology.js";

interface PodReport {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
}

export interface HostReport {
  readonly name: string;
  readonly netns: string;
  readonly underlay: string;
  readonly subnet: string;
  readonly daemonPid: number;
  readonly statusSocket: string;
  readonly subnetFile: string;
  readonly log: string;
  readonly pods: readonly PodReport[];
}

/** What `lab up --json` prints. */
export interface LabReport {
  readonly name: string;
  readonly hosts: readonly HostReport[];
  /** Client URLs of the members; only in labs with etcd. */
  readonly etcd?: readonly string[];
  /** The network namespace in which they run. */
  readonly etcdNetns?: string;
}

export interface LabState {
  readonly spec: LabSpec;
  /** The process that builds the lab. */
  readonly builder: ProcessRecord;
  /** By host name; grows while the daemons are started. */
  readonly daemons: Readonly<Record<string, ProcessRecord>>;
  /** By member name; only in labs with etcd. */
  readonly etcd?: Readonly<Record<string, ProcessRecord>>;
  /** null until every pod has reached every other. */
  readonly report: LabReport | null;
}

/** Takes the name. @throws LAB_EXISTS, NOT_PERMITTED, FILE_UNWRITABLE */
export function createLabFolder(state: LabState): void {
  const { name } = state.spec;
  try {
    mkdirSync(LABS_FOLDER, { recursive: true });
    mkdirSync(labFolder(name));
  } catch (error) {
    if (errnoOf(error) === "EEXIST") {
      const cure = `remove it with: hopsack lab down --name ${name}, or give this one another --name`;
      throw new HopsackError("LAB_EXISTS", `a lab named ${name} is already there; ${cure}`, { cause: error });
    }
    throw new HopsackError("FILE_UNWRITABLE", `${LABS_FOLDER} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
  writeLabState(state);
}

export function writeLabState(state: LabState): void {
  const path = `${labFolder(state.spec.name)}/lab.json`;
  writeFileSync(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** null when there is no such lab, or a crash came before its state was written. */
export function readLabState(name: string): LabState | null {
  try {
    return JSON.parse(readFileSync(`${labFolder(name)}/lab.json`, "utf8")) as LabState;
  } catch {
    return null;
  }
}

/** Names of the labs that have a folder, sorted. */
export function labNames(): string[] {
  try {
    return readdirSync(LABS_FOLDER).sort();
  } catch {
    return [];
  }
}

/** Whether there was one. */
export function removeLabFolder(name: string): boolean {
  const existed = labNames().includes(name);
  rmSync(labFolder(name), { recursive: true, force: true });
  return existed;
}
