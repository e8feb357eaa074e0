// What the programs of accelerator.bpf.c and their loader (accelerator.cc) agree on: the maps' keys and values. Plain
// C, for both.
#pragma once

#include <linux/types.h>

/** Of map `settings`, its only entry. Addresses and ports in network byte order. */
struct accel_settings {
  __be32 local_address;
  __be16 port;
  __u16 unused;
  __u32 underlay_if_index;
  __u32 tun_if_index;
};

/** Of maps `routes_v4` and `routes_v6`: the host that has a prefix. The only thing that a packet is looked up in. */
struct accel_peer {
  __be32 address;
  __be16 port;
  /** The longest outer packet that reaches it on our own link; 0: it is not there. */
  __u16 mtu;
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
};

/** Of map `programs`: where each direction's program is. */
enum accel_direction { ACCEL_IN, ACCEL_OUT, ACCEL_DIRECTIONS };
