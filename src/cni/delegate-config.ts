// The configuration of the plugin that does the work in `bridge` mode, by flannel's rules: its conflists work with only the
// type changed. Pure.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { formatPrefix } from "../net/prefix.js";
import { firstAddress, type HostLease } from "./host-lease.js";
import type { NetworkConfig } from "./network-config.js";
import { type CniVersion, delegateVersion } from "./versions.js";

/** What stands in the delegate wins over what follows from the lease. */
export function delegateConfig(config: NetworkConfig, lease: HostLease, cniVersion: CniVersion): JsonObject {
  const { delegate, runtimeConfig } = config;
  const type = delegate.type ?? "bridge";
  const isBridge = type === "bridge";
  return {
    ipMasq: !lease.hasMasquerade,
    mtu: config.mtuBytes ?? lease.mtuBytes,
    ...(isBridge && { isGateway: true }),
    ...delegate,
    type,
    name: config.name,
    cniVersion: delegateVersion(cniVersion),
    ...(runtimeConfig !== null && { runtimeConfig }),
    ipam: ipamConfig(config, lease),
  };
}

function ipamConfig({ ipam, dataDir }: NetworkConfig, lease: HostLease): JsonObject {
  const subnets = [lease.subnet, ...(lease.subnetV6 === null ? [] : [lease.subnetV6])];
  const given = Array.isArray(ipam.routes) ? ipam.routes : [];
  const own = lease.networks.map((network) => ({ dst: formatPrefix(network) }));
  return {
    dataDir: `${dataDir}/host-local`,
    ...ipam,
    type: ipam.type ?? "host-local",
    ranges: subnets.map((subnet) => [{ subnet: formatPrefix(subnet) }]),
    routes: [...given, ...own].map((route) => withGateway(route, lease)),
  };
}

/** Debian's bridge plugin does not find a route without a gateway again when it is asked to CHECK. */
function withGateway(route: unknown, { subnet, subnetV6 }: HostLease): unknown {
  if (!isJsonObject(route) || typeof route.dst !== "string" || route.gw !== undefined) return route;
  const own = route.dst.includes(":") ? subnetV6 : subnet;
  return own === null ? route : { ...route, gw: firstAddress(own) };
}
