// What hopsackd tells the containers of its host (subnet.env), as far as the lab needs it, and the addresses of the pods
// that follow from it. Pure.
import { formatAddress, formatPrefix, parseInterfaceAddress, prefixOf } from "../net/prefix.js";

/** One family's part of a host's subnet. */
interface SubnetPart {
  /** Address of cni0, the first of the subnet, with prefix length: `10.244.1.1/24`. */
  readonly bridge: string;
  /** The same without prefix length: the pods' default gateway. */
  readonly gateway: string;
  /** `10.244.1.0/24` */
  readonly subnet: string;
  /** With prefix length, for pod 0, 1 …: `10.244.1.2/24`. */
  podAddress(index: number): string;
}

export interface HostSubnet {
  readonly v4: SubnetPart;
  readonly v6: SubnetPart | null;
  readonly mtuBytes: number;
}

/** Reads the text of a subnet.env; undefined while it is incomplete or makes no sense. */
export function parseHostSubnet(text: string): HostSubnet | undefined {
  const values = new Map(
    text.split("\n").map((line) => {
      const [key = "", ...rest] = line.split("=");
      return [key, rest.join("=")] as const;
    }),
  );
  const v4 = subnetPart(values.get("FLANNEL_SUBNET"));
  const mtuBytes = Number(values.get("FLANNEL_MTU"));
  if (v4 === null || !Number.isInteger(mtuBytes) || mtuBytes <= 0) return undefined;
  return { v4, v6: subnetPart(values.get("FLANNEL_IPV6_SUBNET")), mtuBytes };
}

function subnetPart(bridge: string | undefined): SubnetPart | null {
  const parsed = bridge === undefined ? undefined : parseInterfaceAddress(bridge);
  if (bridge === undefined || parsed === undefined) return null;
  return {
    bridge,
    gateway: formatAddress(parsed.family, parsed.bits),
    subnet: formatPrefix(prefixOf(parsed, parsed.length)),
    podAddress: (index) => `${formatAddress(parsed.family, parsed.bits + BigInt(index + 1))}/${parsed.length}`,
  };
}
