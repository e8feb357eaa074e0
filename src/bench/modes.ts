// The ways from one host to the other that are measured beside each other, as data. Another engine is another entry: which
// lab it needs (`hopsack lab up --backend …`, options for hopsackd), and the device that its packets must take.
import type { ModeInfo } from "./results.js";

export interface Mode extends ModeInfo {
  readonly lab: LabKind;
  /** "underlay": between the hosts' own addresses, around every overlay. */
  readonly target: "overlay" | "underlay";
  readonly device: {
    readonly name: string;
    /** As `ip -d link` says it; modes that share a device's name differ here. */
    readonly kind: "veth" | "vxlan" | "tun" | "ipip";
  };
  /** Measured only when it is asked for by name: many a kernel lacks it. */
  readonly isOnRequest?: boolean;
}

/** Modes with the same of these share a lab. */
export interface LabKind {
  readonly backend: string;
  readonly daemonArgs: readonly string[];
}

const HOST_GW: LabKind = { backend: "host-gw", daemonArgs: [] };

export const MODES: readonly Mode[] = [
  {
    name: "veth",
    title: "plain underlay",
    engine: "kernel",
    lab: HOST_GW,
    target: "underlay",
    device: { name: "eth0", kind: "veth" },
  },
  {
    name: "host-gw",
    title: "host-gw",
    engine: "kernel",
    lab: HOST_GW,
    target: "overlay",
    device: { name: "eth0", kind: "veth" },
  },
  {
    name: "bgp",
    title: "BGP, by BIRD",
    engine: "kernel",
    lab: { backend: "bgp", daemonArgs: [] },
    target: "overlay",
    device: { name: "eth0", kind: "veth" },
  },
  {
    name: "vxlan",
    title: "VXLAN, kernel",
    engine: "kernel",
    lab: { backend: "vxlan", daemonArgs: [] },
    target: "overlay",
    device: { name: "flannel.1", kind: "vxlan" },
  },
  {
    name: "vxlan-userspace",
    title: "VXLAN, user space",
    engine: "pump",
    lab: { backend: "vxlan", daemonArgs: ["--vxlan-engine", "userspace"] },
    target: "overlay",
    device: { name: "flannel.1", kind: "tun" },
  },
  {
    name: "vxlan-ebpf",
    title: "VXLAN, eBPF",
    engine: "ebpf",
    lab: { backend: "vxlan", daemonArgs: ["--vxlan-engine", "userspace", "--engine", "ebpf"] },
    target: "overlay",
    device: { name: "flannel.1", kind: "tun" },
  },
  {
    name: "ipip-userspace",
    title: "IP-in-IP, user space",
    engine: "pump",
    lab: { backend: "ipip", daemonArgs: ["--ipip-engine", "userspace"] },
    target: "overlay",
    device: { name: "flannel.ipip", kind: "tun" },
  },
  {
    name: "ipip-ebpf",
    title: "IP-in-IP, eBPF",
    engine: "ebpf",
    lab: { backend: "ipip", daemonArgs: ["--ipip-engine", "userspace", "--engine", "ebpf"] },
    target: "overlay",
    device: { name: "flannel.ipip", kind: "tun" },
  },
  {
    name: "udp",
    title: "UDP, user space",
    engine: "pump",
    lab: { backend: "udp", daemonArgs: [] },
    target: "overlay",
    device: { name: "flannel0", kind: "tun" },
  },
  {
    name: "udp-ebpf",
    title: "UDP, eBPF",
    engine: "ebpf",
    lab: { backend: "udp", daemonArgs: ["--engine", "ebpf"] },
    target: "overlay",
    device: { name: "flannel0", kind: "tun" },
  },
  {
    name: "udp-fou",
    title: "UDP, FOU of the kernel",
    engine: "fou",
    lab: { backend: "udp", daemonArgs: ["--engine", "fou"] },
    target: "overlay",
    device: { name: "flannel0", kind: "ipip" },
    isOnRequest: true,
  },
  {
    name: "udp-naive",
    title: "UDP, one packet a system call",
    engine: "naive",
    lab: { backend: "udp", daemonArgs: ["--naive"] },
    target: "overlay",
    device: { name: "flannel0", kind: "tun" },
  },
];
