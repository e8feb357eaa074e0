// What a kernel event concerns: what we keep true, the rest of the host that the plan was made for, or nothing here. Pure, and
// cheap: a busy host tells of hundreds of changes every second. Called by reconciler.ts.
import { overlaps, type Prefix, parsePrefix } from "../net/prefix.js";
import { parseInterfaceAddressMessage } from "../netlink/addr.js";
import { parseLink } from "../netlink/link.js";
import { MessageType, parseAttributes, parseMessage, readText } from "../netlink/message.js";
import { linkOfNeighborMessage } from "../netlink/neigh.js";
import { HOPSACK_ROUTE_PROTOCOL, MAIN_TABLE, parseRoute } from "../netlink/route.js";

/** `host`: links, addresses and routes that are not ours; which peers are on our link may depend on them. */
export type Concern = "plan" | "host";

const NOTHING: readonly Concern[] = [];

/** What the plan in force is about. */
export interface Scope {
  /** Of the plan's own links. */
  readonly ownIndexes: ReadonlySet<number>;
  /** Of all links that the plan names, the underlay's included, and their indexes as last seen. */
  readonly linkNames: ReadonlySet<string>;
  readonly linkIndexes: ReadonlySet<number>;
  readonly networks: readonly Prefix[];
}

/** @param bytes a whole message of NETLINK_ROUTE */
export function concernOf(bytes: Uint8Array, scope: Scope): readonly Concern[] {
  const message = parseMessage(bytes);
  if (message === undefined) return NOTHING;
  switch (message.type) {
    case MessageType.newNeighbor:
    case MessageType.delNeighbor:
      return scope.ownIndexes.has(linkOfNeighborMessage(message.payload)) ? ["plan"] : NOTHING;
    case MessageType.newLink:
    case MessageType.delLink:
      return concernOfLink(message.payload, scope);
    case MessageType.newAddress:
    case MessageType.delAddress: {
      const address = parseInterfaceAddressMessage(message.payload);
      return address !== undefined && scope.ownIndexes.has(address.linkIndex) ? ["plan"] : ["host"];
    }
    default:
      return concernOfRoute(message.payload, scope);
  }
}

/** A link that only carries what is ours is the plan's and the host's alike. */
function concernOfLink(payload: Uint8Array, { ownIndexes, linkNames, linkIndexes }: Scope): readonly Concern[] {
  const link = parseLink(payload);
  if (link === undefined) return NOTHING;
  if (ownIndexes.has(link.index)) return ["plan"];
  return linkNames.has(link.name) || linkIndexes.has(link.index) ? ["plan", "host"] : ["host"];
}

function concernOfRoute(payload: Uint8Array, { networks }: Scope): readonly Concern[] {
  const route = parseRoute(payload);
  const prefix = route && parsePrefix(route.prefix);
  if (prefix === undefined || route?.table !== MAIN_TABLE) return NOTHING;
  if (prefix.length > 0 && networks.some((network) => overlaps(network, prefix))) return ["plan"];
  return route.protocol === HOPSACK_ROUTE_PROTOCOL ? NOTHING : ["host"];
}

/** nfgenmsg: family, version, u16 resource. */
const NETFILTER_BODY_BYTES = 4;
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE … are all the same number (linux/netfilter/nf_tables.h). */
const NFTA_TABLE = 1;

/** Whether an event of NFNLGRP_NFTABLES is about a table of this name. */
export function isAboutTable(bytes: Uint8Array, name: string): boolean {
  const message = parseMessage(bytes);
  if (message === undefined) return false;
  return readText(parseAttributes(message.payload.subarray(NETFILTER_BODY_BYTES)).get(NFTA_TABLE)) === name;
}
