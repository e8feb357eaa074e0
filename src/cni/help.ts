// What a person may know of the CNI plugin, for its --help and its man page.

interface Entry {
  readonly term: string;
  readonly help: string;
}

export const SUMMARY = "the CNI plugin of Hopsack (specification 0.3.1 to 1.1.0)";

export const CALLED =
  "A container runtime calls it by the name hopsack, with CNI_COMMAND (ADD, DEL, CHECK, GC, STATUS, VERSION) and its\nother variables in the environment and a network configuration on standard input. Install it beside the others:";

export const INSTALL = 'ln -s "$(command -v hopsack-cni)" /opt/cni/bin/hopsack';

/** Of the network configuration, beside cniVersion, name and type. */
export const KEYS: readonly Entry[] = [
  {
    term: "attach",
    help: "bridge (by the plugins bridge and host-local; default) or routed (veth and host route, no bridge)",
  },
  { term: "subnetFile", help: "the lease of this host; default /run/flannel/subnet.env" },
  { term: "daemonSocket", help: "hopsackd's --status-socket; default /run/hopsack/hopsackd.sock" },
  { term: "dataDir", help: "what the plugin keeps; default /run/hopsack/cni" },
  { term: "policyFile", help: "the policy of this host; default /var/lib/hopsack/policy.json" },
  { term: "labels", help: 'of the pods, for policies: {"role": "web"}; the capability labels adds more' },
  { term: "mtu", help: "of the interfaces; default the lease's" },
  { term: "delegate, ipam", help: "bridge: flannel's keys, handed on to the other plugins" },
  { term: "isDefaultGateway", help: "routed: the pod's default route is through this interface; default true" },
  {
    term: "interfacePrefix",
    help: "routed: beginning of the names of the host's interfaces; default hsk, Calico's is cali",
  },
  { term: "coolDownSeconds", help: "routed: rest of a released address; default 30" },
];

/** Beside those of the specification. */
export const OWN_CODES: readonly Entry[] = [
  { term: "100", help: "a bug, or several attachments that GC could not remove" },
  { term: "101", help: "every address of the lease belongs to a pod" },
  { term: "102", help: "attached already, or the container has such an interface" },
  { term: "103", help: "the kernel refused" },
  { term: "104", help: "root or a capability is missing" },
  { term: "105", help: "a plugin that is to do the work is not in CNI_PATH" },
  { term: "106", help: "CHECK: not as ADD made it; the sentence names the difference" },
  { term: "107", help: "CHECK: the host has another lease now" },
];

const TERM_WIDTH = 16;

export const HELP = `hopsack-cni: ${SUMMARY}

${CALLED}

  ${INSTALL}

Keys of the network configuration beside cniVersion, name and "type": "hopsack":

${KEYS.map(({ term, help }) => `  ${term.padEnd(TERM_WIDTH)}  ${help}`).join("\n")}
`;
