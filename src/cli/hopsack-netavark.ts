#!/usr/bin/env node
// Entry of the netavark plugin, for Podman 4.5 and later: one process for each call. Containers join the network of the host's
// pods by the CNI plugin's own code. What netavark says and expects: its plugin-API.md, API 1.0.0.
import { readFileSync } from "node:fs";
import { asCniError, CniCode, CniError } from "../cni/cni-error.js";
import { callIn } from "../cni/installed.js";
import { createdNetwork, parseExec, refusePorts, statusBlock } from "../cni/netavark.js";
import { containerIdOf } from "../cni/outsiders.js";
import { parseInput } from "../cni/request.js";
import { perform } from "../cni/verbs.js";
import { packageVersion } from "../daemon/version.js";
import type { JsonObject } from "../lease/json-object.js";

const STDIN = 0;
const API_VERSION = "1.0.0";
const HELP = `hopsack-netavark: the netavark plugin of Hopsack, for Podman 4.5 and later

Podman calls it by the name hopsack. Install it where netavark_plugin_dirs of containers.conf says, then make the network:

  ln -s "$(command -v hopsack-netavark)" /usr/lib/netavark/hopsack
  podman network create --driver hopsack overlay

Containers get addresses of this host's lease, as the host's other pods do. Options of the network (-o KEY=VALUE):

  config   a CNI network configuration; default /etc/cni/net.d/10-hopsack.conflist, and without that "attach": "routed"
`;

const [verb = "info", netns] = process.argv.slice(2);
if (verb === "--help") process.stdout.write(HELP);
else await answer();

async function answer(): Promise<void> {
  try {
    const result = await resultOf();
    if (result !== null) process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: asCniError(error).message })}\n`);
    process.exitCode = 1;
  }
}

/** What is printed. @throws CniError, HopsackError, the system's error */
async function resultOf(): Promise<object | null> {
  switch (verb) {
    case "info":
      return { version: packageVersion(), api_version: API_VERSION };
    case "create":
      return createdNetwork(input());
    case "setup": {
      const told = input();
      refusePorts(told);
      const { call, attachment, path } = exec(told);
      return statusBlock(await perform({ ...call, verb: "ADD", attachment, netns: path }), attachment.ifName);
    }
    case "teardown": {
      const { call, attachment, path } = exec(input());
      await perform({ ...call, verb: "DEL", attachment, netns: path });
      return null;
    }
    default:
      throw badCall(`${verb} is no command of a netavark plugin; those are create, setup, teardown and info`);
  }
}

function exec(told: JsonObject) {
  if (netns === undefined) throw badCall(`${verb} needs the path of a network namespace; netavark gives it`);
  const { containerId, ifName, configFile, wishes } = parseExec(told);
  const attachment = { containerId: containerIdOf("netavark", containerId), ifName };
  return { call: callIn(configFile, wishes), attachment, path: netns };
}

function input(): JsonObject {
  return parseInput(readFileSync(STDIN, "utf8"));
}

function badCall(sentence: string): CniError {
  return new CniError(CniCode.badEnvironment, sentence);
}
