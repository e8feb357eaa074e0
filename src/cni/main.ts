#!/usr/bin/env node
// Entry of the CNI plugin `hopsack`: one process for each call of a container runtime, so it imports little, and the rest only
// when the verb needs it. Result or error goes to standard output as JSON; standard error is for people.
import { readFileSync } from "node:fs";
import { asCniError, errorJson } from "./cni-error.js";
import { askedVersion, parseInput, parseRequest, parseVerb } from "./request.js";
import { NEWEST_VERSION, versionJson } from "./versions.js";

const STDIN = 0;
const HELP = `hopsack-cni: the CNI plugin of Hopsack (specification 0.3.1 to 1.1.0)

A container runtime calls it by the name hopsack, with CNI_COMMAND (ADD, DEL, CHECK, GC, STATUS, VERSION) and its
other variables in the environment and a network configuration on standard input. Install it beside the others:

  ln -s "$(command -v hopsack-cni)" /opt/cni/bin/hopsack

Keys of the network configuration beside cniVersion, name and "type": "hopsack":

  attach            bridge (by the plugins bridge and host-local; default) or routed (veth and host route, no bridge)
  subnetFile        the lease of this host; default /run/flannel/subnet.env
  daemonSocket      hopsackd's --status-socket; default /run/hopsack/hopsackd.sock
  dataDir           what the plugin keeps; default /run/hopsack/cni
  mtu               of the interfaces; default the lease's
  delegate, ipam    bridge: flannel's keys, handed on to the other plugins
  isDefaultGateway  routed: the pod's default route is through this interface; default true
  coolDownSeconds   routed: rest of a released address; default 30
`;

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
