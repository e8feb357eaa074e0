// Where policies and pods of one hopsackd are kept, so that daemon, CNI plugin and command line agree without being told.
import { dirname, join } from "node:path";

export interface PolicyPlaces {
  /** What `hopsack policy apply` was given last; survives a restart of the host, as opposed to pods. */
  readonly policyFile: string;
  /** The `dataDir` of the CNI plugin. */
  readonly cniDataDir: string;
}

export const DEFAULT_SUBNET_FILE = "/run/flannel/subnet.env";

/** Several daemons on one machine have a subnet file each, and the rest beside it. */
export function defaultPlaces(subnetFile: string): PolicyPlaces {
  if (subnetFile === DEFAULT_SUBNET_FILE) {
    return { policyFile: "/var/lib/hopsack/policy.json", cniDataDir: "/run/hopsack/cni" };
  }
  return { policyFile: join(dirname(subnetFile), "policy.json"), cniDataDir: join(dirname(subnetFile), "cni") };
}
