// Desired state as data: what must be true on this host so that the leases' subnets can be reached. Made by
// backend/*.ts, made true by kernel/ and dataplane/. Addresses and prefixes are canonical text.

export interface LinkPlan {
  readonly name: string;
  readonly mtuBytes: number;
  readonly txQueueLength: number | null;
}

interface AddressPlan {
  readonly link: string;
  /** Address with prefix length: `10.244.1.0/32`. */
  readonly address: string;
}

export interface RoutePlan {
  readonly prefix: string;
  readonly link: string;
  readonly gateway: string | null;
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** One row of the pump's forwarding table. */
export interface PumpRoute {
  readonly prefix: string;
  readonly endpoint: Endpoint;
  /** Finished bytes that go between the outer UDP header and the inner packet; none in UDP mode. */
  readonly header: Uint8Array;
}

/** Source addresses of `network` that leave it are masqueraded; the rest of the rules: kernel/nftables.ts. */
export interface MasqueradePlan {
  readonly network: string;
  readonly subnet: string;
}

export interface Plan {
  readonly links: readonly LinkPlan[];
  readonly addresses: readonly AddressPlan[];
  readonly routes: readonly RoutePlan[];
  readonly masquerades: readonly MasqueradePlan[];
  readonly pumpRoutes: readonly PumpRoute[];
}
