// What the cable between the two hosts can do, as data.

export interface Profile {
  readonly name: string;
  readonly title: string;
  readonly mtuBytes: number;
  /** For `ethtool -K eth0` on both hosts; empty: everything as it comes. */
  readonly ethtool: readonly string[];
  /** Who talks: the hosts themselves, or a pod of each by way of its host. */
  readonly ends: "hosts" | "pods";
  /** Names of those that this cable makes a difference to, measured unless others are asked for; null: all. */
  readonly scenarios: readonly string[] | null;
}

/**
 * As a network card without segmentation and tunnel offloads: every packet crosses the cable as such. `tso` has to be off as
 * well, though no card lacks it: veth merges what arrives (GRO) only while every TSO feature of the sending end is off
 * (veth_skb_is_eligible_for_gro, drivers/net/veth.c), and a card's driver merges always.
 */
const PLAIN_NIC = [
  ...["tso", "off", "gso", "off", "tx-udp-segmentation", "off"],
  ...["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off", "gro", "on"],
];

const BULK = ["tcp-1", "tcp-4", "tcp-bidir", "udp-1400"];

export const PROFILES: readonly Profile[] = [
  {
    name: "offload",
    title: "virtual Ethernet as it comes: packets of 64 KB cross it whole",
    mtuBytes: 1500,
    ethtool: [],
    ends: "hosts",
    scenarios: null,
  },
  {
    name: "plain-nic",
    title: "as a card without segmentation offloads: no packet larger than the MTU",
    mtuBytes: 1500,
    ethtool: PLAIN_NIC,
    ends: "hosts",
    scenarios: BULK,
  },
  {
    name: "jumbo",
    title: "packets of 9000 bytes, offloads as they come",
    mtuBytes: 9000,
    ethtool: [],
    ends: "hosts",
    scenarios: BULK,
  },
  {
    name: "offload-pods",
    title: "as offload, from pod to pod through their hosts",
    mtuBytes: 1500,
    ethtool: [],
    ends: "pods",
    scenarios: null,
  },
];
