// Why the kernel refuses a device of ours, in words that name the cure. Pure. Called by rtnetlink.ts.
import { type ErrorCode, errnoOf, HopsackError } from "../errors.js";
import type { Change, NewIpipLinkChange } from "../netlink/change.js";

interface Explanation {
  readonly code: ErrorCode;
  readonly cure: string;
}

const SHOW_VXLAN = "ip -d link show type vxlan";
const SHOW_IPIP = "ip -d link show type ipip";

/** The refusal of a change with its usual cause; the error as it is where there is none. */
export function explainLink(change: Change, error: HopsackError): HopsackError {
  const known = explanation(change, errnoOf(error.cause));
  if (known === null) return error;
  const { code, cure } = known;
  return new HopsackError(code, `${error.message}; ${cure}`, { retryable: error.retryable, cause: error.cause });
}

function explanation(change: Change, errno: string | undefined): Explanation | null {
  if (change.kind === "add-fou-port") return fouExplanation(change.port, errno);
  if (change.kind === "add-ipip-link") return ipipExplanation(change, errno);
  if (change.kind === "add-link" && errno === "EOPNOTSUPP") {
    const cure = "this kernel has no VXLAN; load it with: modprobe vxlan, or choose another Backend.Type";
    return { code: "KERNEL_REFUSED", cure };
  }
  if (change.kind === "add-link" && errno === "EEXIST") {
    const taken = `another device has the name ${change.linkName} or the VNI ${change.vxlan.vni} on this port`;
    const cure = `remove it (see: ${SHOW_VXLAN}), or set another Backend.VNI on all hosts`;
    return { code: "DEVICE_BUSY", cure: `${taken}; ${cure}` };
  }
  if (change.kind === "set-link" && errno === "EADDRINUSE") {
    const taken = "its UDP port belongs to another program, or to a VXLAN device with other settings";
    const cure = `see which with: ss -lunp, and: ${SHOW_VXLAN}; or set another Backend.Port on all hosts`;
    return { code: "PORT_TAKEN", cure: `${taken}; ${cure}` };
  }
  return null;
}

function fouExplanation(port: number, errno: string | undefined): Explanation | null {
  if (errno === "ENOENT") {
    return { code: "KERNEL_REFUSED", cure: "this kernel has no FOU any more; load it with: modprobe fou" };
  }
  if (errno !== "EADDRINUSE") return null;
  const taken = "the UDP port belongs to another program, or to a FOU port that is not of this hopsackd";
  const cure = `see which with: ss -lunp sport = :${port}, and: ip fou show; or set another Backend.Port on all hosts`;
  return { code: "PORT_TAKEN", cure: `${taken}; ${cure}` };
}

function ipipExplanation({ linkName: name, ipip }: NewIpipLinkChange, errno: string | undefined): Explanation | null {
  const isFou = ipip.fouPort !== null;
  if (isFou && errno === "EINVAL") {
    const cure = "this kernel's FOU carries no tunnels (CONFIG_NET_FOU_IP_TUNNELS); start without --engine fou";
    return { code: "KERNEL_REFUSED", cure };
  }
  if (errno === "EOPNOTSUPP") {
    const cure = `this kernel has no ipip; load it with: modprobe ipip, or start without ${isFou ? "--engine fou" : "--ipip-engine kernel"}`;
    return { code: "KERNEL_REFUSED", cure };
  }
  if (errno === "EEXIST") {
    const taken = `another device has the name ${name}, or is an ipip device of the same local address`;
    const cure = `remove it (see: ${SHOW_IPIP}; tunl0 is the kernel's own and stays), or choose another name with ${isFou ? "--device" : "--ipip-device"}`;
    return { code: "DEVICE_BUSY", cure: `${taken}; ${cure}` };
  }
  return null;
}
