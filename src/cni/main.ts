#!/usr/bin/env node
// Entry of the CNI plugin `hopsack`: one process for each call of a container runtime, so it imports little, and the rest only
// when the verb needs it. Result or error goes to standard output as JSON; standard error is for people.
import { readFileSync } from "node:fs";
import { asCniError, errorJson } from "./cni-error.js";
import { HELP } from "./help.js";
import { askedVersion, parseInput, parseRequest, parseVerb } from "./request.js";
import { NEWEST_VERSION, versionJson } from "./versions.js";

const STDIN = 0;

if (process.argv.length > 2) {
  process.stdout.write(HELP);
  process.exitCode = process.argv[2] === "--help" ? 0 : 2;
} else {
  await answer();
}

async function answer(): Promise<void> {
  let cniVersion: string = NEWEST_VERSION;
  try {
    const verb = parseVerb(process.env);
    const input = parseInput(readFileSync(STDIN, "utf8"));
    if (typeof input.cniVersion === "string") cniVersion = input.cniVersion;
    if (verb === "VERSION") return print(versionJson(askedVersion(input)));
    const request = parseRequest(verb, process.env, input);
    const { perform } = await import("./verbs.js");
    print(await perform(request));
  } catch (error) {
    print(errorJson(cniVersion, asCniError(error)));
    process.exitCode = 1;
  }
}

function print(text: string): void {
  if (text !== "") process.stdout.write(`${text}\n`);
}
