// What the programs of accelerator.bpf.c and their loader (accelerator.cc) agree on: the maps' keys and values. Plain
// C, for both.
#pragma once

#include <linux/types.h>

/** The longest header that a host's row has room for: a multiple of 8. */
#define ACCEL_HEADER_BYTES 64
#define ACCEL_HEADER_WORDS (ACCEL_HEADER_BYTES / 8)
/** A power of two. */
#define ACCEL_SOURCE_PORTS 32

/** What an arriving header must be where the mask has bits; in the order of the packet. */
struct accel_expected {
  __u64 value[ACCEL_HEADER_WORDS];
  __u64 mask[ACCEL_HEADER_WORDS];
};

/**
 * Which wire the programs speak, and on which host. The map of these can no longer be written when the programs are
 * loaded: for the kernel's verifier they are constants, and it leaves out the branches that they rule out. Addresses
 * and ports in network byte order.
 */
struct accel_settings {
  __be32 local_address;
  __be16 port;
  /** Of the outer IPv4 header: UDP, or IPv4 for IP-in-IP. */
  __u8 protocol;
  /** The outer IPv4 header, and UDP's where there is one. */
  __u8 outer_bytes;
  __u32 underlay_if_index;
  __u32 tun_if_index;
  /** Where TCP packets that arrived singly are sent out to be merged; 0: nowhere, they go to the TUN as they are. */
  __u32 merging_if_index;
  /** What bpf_skb_adjust_room must know of that which is put in front. */
  __u64 room_flags;
  /** Between the UDP header and the inner packet, at most ACCEL_HEADER_BYTES. */
  __u32 header_bytes;
  /** What of the inner packet's type of service, or traffic class, is the outer one's too. */
  __u32 tos_mask;
  /** For a flow's hash, to choose a source port; 0: there is one. */
  __u32 source_port_mask;
  __be16 source_ports[ACCEL_SOURCE_PORTS];
  /** In front of an inner packet of IPv4, of IPv6. */
  struct accel_expected expected[2];
};

/** In a row's address: the prefix is this host's own, to which packets may arrive. */
#define ACCEL_OWN 0

/**
 * Of maps `routes_v4` and `routes_v6`: the host that has a prefix. The only thing that a packet's addresses are looked
 * up in. The kernel replaces a row, and never changes one, so a packet goes by one row whatever is published meanwhile.
 */
struct accel_peer {
  __be32 address;
  /** Who takes its packets on the underlay's link: a router, or itself. */
  __be32 neighbor;
  __be16 port;
  /** The longest outer packet that reaches it there; 0: none does. */
  __u16 mtu;
  /** Whose bytes they are: an entry of map `peer_bytes`. */
  __u32 slot;
  /** As many bytes as accel_settings says. */
  __u8 header[ACCEL_HEADER_BYTES];
};

struct accel_route_v4 {
  __u32 prefix_bits;
  __u8 address[4];
};

struct accel_route_v6 {
  __u32 prefix_bits;
  __u8 address[16];
};

/** Of map `counts`, one entry a processor. Packets are those that the wire carries, the segments of a super-packet
 * singly. */
struct accel_counts {
  __u64 tx_packets;
  __u64 tx_bytes;
  __u64 tx_super_packets;
  /** Lost half-way for lack of memory, and in no other count. */
  __u64 tx_no_memory;
  __u64 rx_packets;
  __u64 rx_bytes;
  __u64 rx_super_packets;
  /** ICMP messages of routers that a path is narrower than a packet. */
  __u64 path_news;
};

/** Of map `peer_bytes`, one value a processor: inner bytes to a host and from it, as accel_counts has those of all. */
struct accel_peer_bytes {
  __u64 sent;
  __u64 received;
};

/** Of map `programs`: which of them is where. */
enum accel_program { ACCEL_IN, ACCEL_OUT, ACCEL_MERGED, ACCEL_PROGRAMS };
