// Makes the backend that the network configuration names. The only file that knows every mode.
import { HopsackError } from "../errors.js";
import { createAllocBackend } from "./alloc.js";
import type { Backend, BackendInput } from "./backend.js";
import { createBgpBackend } from "./bgp.js";
import { createExtensionBackend } from "./extension.js";
import { createHostGwBackend } from "./host-gw.js";
import { createIpipBackend } from "./ipip.js";
import { createUdpBackend } from "./udp.js";
import { createVxlanBackend } from "./vxlan.js";
import { createUserspaceVxlanBackend } from "./vxlan-userspace.js";

const BACKENDS: ReadonlyMap<string, (input: BackendInput) => Backend> = new Map([
  ["udp", createUdpBackend],
  ["vxlan", (input) => (input.vxlanEngine === "userspace" ? createUserspaceVxlanBackend : createVxlanBackend)(input)],
  ["host-gw", createHostGwBackend],
  ["bgp", createBgpBackend],
  ["ipip", createIpipBackend],
  ["alloc", createAllocBackend],
  ["extension", createExtensionBackend],
]);

/** @throws BAD_CONFIG for a mode that is not there, or whose options cannot be used */
export function createBackend(input: BackendInput): Backend {
  const { type } = input.config.backend;
  const create = BACKENDS.get(type);
  if (create !== undefined) return create(input);
  const problem = type === "" ? "Backend has no Type" : `Backend.Type ${JSON.stringify(type)} is not known`;
  const known = [...BACKENDS.keys()].join(", ");
  throw new HopsackError("BAD_CONFIG", `${problem}; use one of: ${known}`);
}
