// The kernel's shortcut beside the pump: `hopsack_out` on the TUN's way out, `hopsack_in` on the underlay's way in, and `hopsack_merged` behind
// the pair of devices in which the kernel merges what `hopsack_in` unwrapped, where packets arrive singly. A packet that does not
// fit every condition goes on untouched to where it would have gone, the pump, which can do everything. Which wire it is, bare packets in UDP,
// VXLAN or IP-in-IP, is what `settings` and the hosts' rows say: no tunnel's header is known here.
// Compiled by scripts/bpf.mjs into programs.inc, which is checked in: no user's host needs a compiler.
#include <linux/bpf.h>

#include "layout.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

// None of them is for GPL programs only; bpf_fib_lookup and bpf_check_mtu would be.
// By number, so that no other header is needed (linux/bpf.h, enum bpf_func_id).
static void* (*map_lookup)(void* map, const void* key) = (void*)BPF_FUNC_map_lookup_elem;
static long (*load_bytes)(const struct __sk_buff*, __u32, void*, __u32) = (void*)BPF_FUNC_skb_load_bytes;
static long (*store_bytes)(struct __sk_buff*, __u32, const void*, __u32, __u64) = (void*)BPF_FUNC_skb_store_bytes;
static long (*adjust_room)(struct __sk_buff*, __s32, __u32, __u64) = (void*)BPF_FUNC_skb_adjust_room;
static __u32 (*flow_hash)(struct __sk_buff*) = (void*)BPF_FUNC_get_hash_recalc;
static __u32 (*processor)(void) = (void*)BPF_FUNC_get_smp_processor_id;
static __u32 (*random)(void) = (void*)BPF_FUNC_get_prandom_u32;
static long (*change_type)(struct __sk_buff*, __u32) = (void*)BPF_FUNC_skb_change_type;
static long (*change_head)(struct __sk_buff*, __u32, __u64) = (void*)BPF_FUNC_skb_change_head;
static long (*set_tunnel_key)(struct __sk_buff*, const void*, __u32, __u64) = (void*)BPF_FUNC_skb_set_tunnel_key;
static void (*tail_call)(struct __sk_buff*, void* map, __u32 index) = (void*)BPF_FUNC_tail_call;
static struct bpf_sock* (*socket_lookup)(struct __sk_buff*, struct bpf_sock_tuple*, __u32, __u64,
                                         __u64) = (void*)BPF_FUNC_skc_lookup_tcp;
static long (*socket_release)(struct bpf_sock*) = (void*)BPF_FUNC_sk_release;
static long (*redirect)(__u32, __u64) = (void*)BPF_FUNC_redirect;
static long (*redirect_neigh)(__u32, struct bpf_redir_neigh*, int, __u64) = (void*)BPF_FUNC_redirect_neigh;

// Stand for the maps until the loader puts their descriptors in.
struct map_place {
  int unused;
};
SECTION("maps") struct map_place routes_v4, routes_v6, counts, peer_bytes, programs;
/** Read from its map without a look-up, for it has one entry. */
SECTION(".rodata") const volatile struct accel_settings settings = {};

enum {
  NEXT = -1,  // TCX_NEXT: what comes behind us, in the end the device
  AF_INET_ = 2,
  ETHER = 14,
  ETHER_TYPE_OFFSET = 12,
  PROTO_ICMP = 1,
  PROTO_TCP = 6,
  PROTO_UDP = 17,
  PROTO_ICMPV6 = 58,
  FRAGMENT_UNIT = 8,
  FRAGMENT_OFFSET = 0x1fff,
  ON_THE_LINK = 255,  // the hop limit of neighbour discovery (RFC 4861 section 7.1)
  TTL = 64,
  ECN = 3,
};
// Numbers of headers that are not included, or newer than some (Linux 6.3).
#define TC_ACT_SHOT_ 2
/** The mark of a packet on its way through the merging pair. */
#define MERGING 0x68706b67
#define PACKET_HOST_ 0
#define DECAP_L3_IPV6_ (1ULL << 8)
#define htons_(x) ((__be16)__builtin_bswap16(x))
#define DONT_FRAGMENT htons_(0x4000)
#define IS_FRAGMENT htons_(0x3fff)
#define FRAGMENTATION_NEEDED htons_(0x0304)  // type and code of ICMP (RFC 792)

struct ipv4 {
  __u8 version_length, tos;
  __be16 total;
  __be16 id, fragment;
  __u8 ttl, protocol;
  __be16 checksum;
  __be32 source, destination;
};

struct ipv6 {
  __u8 version_class, class_flow;
  __be16 flow;
  __be16 payload;
  __u8 next, hops;
  __u8 source[16], destination[16];
};

struct udp {
  __be16 source, destination, length, checksum;
};

struct outer {
  struct ipv4 ip;
  struct udp udp;
};

/** What both directions must know of an inner packet. */
struct inner {
  __u32 bytes;    // whole, by its header
  __u32 l4;       // offset of TCP or UDP from its start
  __u8 protocol;  // 0: nothing that has segments
  __u8 tos;       // or IPv6's traffic class
  __u8 ttl;
  __be16 dont_fragment;
};

INLINE __u16 ipv4_checksum(const struct ipv4* header) {
  const __u16* words = (const __u16*)header;
  __u32 sum = 0;
#pragma unroll
  for (int i = 0; i < 10; i++) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

/** A fragment is carried like any packet, unless it ends where none can; it has no segments. */
INLINE int parse_v4(const struct ipv4* ip, struct inner* inner) {
  if (ip->version_length != 0x45) return 0;  // options are the pump's
  if (ipv4_checksum(ip) != 0) return 0;
  inner->bytes = htons_(ip->total);
  if (FRAGMENT_UNIT * (htons_(ip->fragment) & FRAGMENT_OFFSET) + inner->bytes > 0xffff) return 0;
  inner->l4 = 20;
  inner->protocol = (ip->fragment & IS_FRAGMENT) == 0 ? ip->protocol : 0;
  inner->tos = ip->tos;
  inner->ttl = ip->ttl;
  inner->dont_fragment = ip->fragment & DONT_FRAGMENT;
  return 1;
}

INLINE int parse_v6(const struct ipv6* ip, struct inner* inner) {
  if (ip->version_class >> 4 != 6) return 0;
  if (ip->next == PROTO_ICMPV6 && ip->hops == ON_THE_LINK) return 0;  // a question for the pump
  inner->bytes = 40 + (__u32)htons_(ip->payload);
  inner->l4 = 40;
  inner->protocol = ip->next;
  inner->tos = (__u8)(ip->version_class << 4) | (ip->class_flow >> 4);
  inner->ttl = ip->hops;
  inner->dont_fragment = DONT_FRAGMENT;
  return 1;
}

INLINE struct accel_peer* find_v4(__be32 address) {
  struct accel_route_v4 key = {.prefix_bits = 32};
  __builtin_memcpy(key.address, &address, 4);
  return map_lookup(&routes_v4, &key);
}

INLINE struct accel_peer* find_v6(const __u8* address) {
  struct accel_route_v6 key = {.prefix_bits = 128};
  __builtin_memcpy(key.address, address, 16);
  return map_lookup(&routes_v6, &key);
}

/** Bytes in front of the payload of each segment, IP header included; 0: no super-packet that we understand. */
INLINE __u32 segment_header(struct __sk_buff* skb, __u32 start, const struct inner* inner) {
  if (inner->protocol == PROTO_UDP) return inner->l4 + 8;
  if (inner->protocol != PROTO_TCP) return 0;
  __u8 offset = 0;
  if (load_bytes(skb, start + inner->l4 + 12, &offset, 1) != 0) return 0;
  return inner->l4 + (offset >> 4) * 4;
}

/** How many packets the wire sees, and how many bytes of them. */
INLINE __u32 wire_packets(struct __sk_buff* skb, const struct inner* inner, __u32 header) {
  if (skb->gso_size == 0 || inner->bytes <= header) return 1;
  return (inner->bytes - header + skb->gso_size - 1) / skb->gso_size;
}

/** Whether a TCP packet ends in a socket of this host, and is not forwarded. `addresses`: source and destination. */
INLINE int ends_here(struct __sk_buff* skb, const struct inner* inner, __u32 start, int is_v6) {
  struct bpf_sock_tuple flow = {};
  __u32 bytes;
  if (is_v6) {
    if (load_bytes(skb, start + 8, &flow.ipv6.saddr, 32) != 0) return 0;
    if (load_bytes(skb, start + inner->l4, &flow.ipv6.sport, 4) != 0) return 0;
    bytes = sizeof flow.ipv6;
  } else {
    if (load_bytes(skb, start + 12, &flow.ipv4.saddr, 8) != 0) return 0;
    if (load_bytes(skb, start + inner->l4, &flow.ipv4.sport, 4) != 0) return 0;
    bytes = sizeof flow.ipv4;
  }
  struct bpf_sock* socket = socket_lookup(skb, &flow, bytes, BPF_F_CURRENT_NETNS, 0);
  if (socket == 0) return 0;
  socket_release(socket);
  return 1;
}

/** The headers that the host's row does not have. `outer` is zero before. */
INLINE void fill_outer(struct __sk_buff* skb, struct outer* outer, const struct inner* inner,
                       const struct accel_peer* peer) {
  const __u32 bytes = inner->bytes + settings.outer_bytes + settings.header_bytes;
  outer->ip.version_length = 0x45;
  outer->ip.tos = inner->tos & settings.tos_mask;
  outer->ip.total = htons_(bytes);
  outer->ip.fragment = DONT_FRAGMENT;
  outer->ip.ttl = TTL;
  outer->ip.protocol = settings.protocol;
  outer->ip.source = settings.local_address;
  outer->ip.destination = peer->address;
  if (settings.protocol == PROTO_UDP) {
    __u32 port = settings.source_port_mask;
    if (port != 0) port &= flow_hash(skb);
    outer->udp.source = settings.source_ports[port];
    outer->udp.destination = peer->port;
    outer->udp.length = htons_(bytes - sizeof outer->ip);
    // The checksum stays 0: nothing here can ask for one per segment.
  } else {
    // As if there were no tunnel: the sender of the inner packet says how far it may go, and whether it may be cut.
    outer->ip.ttl = inner->ttl;
    outer->ip.fragment = inner->dont_fragment;
    if (inner->dont_fragment == 0) outer->ip.id = (__be16)random();
  }
  outer->ip.checksum = ipv4_checksum(&outer->ip);
}

/** On the TUN's way out: the packet begins with its IP header. */
SECTION("tc/out") int hopsack_out(struct __sk_buff* skb) {
  struct inner inner = {};
  const struct accel_peer* peer = 0;
  if (skb->protocol == htons_(0x0800)) {
    struct ipv4 ip;
    if (load_bytes(skb, 0, &ip, sizeof ip) != 0 || !parse_v4(&ip, &inner)) return NEXT;
    peer = find_v4(ip.destination);
  } else if (skb->protocol == htons_(0x86dd)) {
    struct ipv6 ip;
    if (load_bytes(skb, 0, &ip, sizeof ip) != 0 || !parse_v6(&ip, &inner)) return NEXT;
    peer = find_v6(ip.destination);
  }
  if (peer == 0) return NEXT;
  const __u32 overhead = settings.outer_bytes + settings.header_bytes;
  if (inner.bytes != skb->len || inner.bytes + overhead > 0xffff) return NEXT;
  __u32 longest = inner.bytes, header = 0;
  if (skb->gso_size != 0) {
    header = segment_header(skb, 0, &inner);
    if (header == 0) return NEXT;
    if (header + skb->gso_size < longest) longest = header + skb->gso_size;
  }

  // Too long for the way, and the pump tells the sender by ICMP; or there is none by the underlay.
  if (longest + overhead > peer->mtu) return NEXT;

  __u32 zero = 0;
  struct accel_counts* count = map_lookup(&counts, &zero);
  if (count == 0) return NEXT;
  const __u32 packets = wire_packets(skb, &inner, header);
  const __u32 is_super = skb->gso_size != 0;
  struct outer outer = {};
  fill_outer(skb, &outer, &inner, peer);

  if (adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC, settings.room_flags) != 0) {
    return NEXT;  // refused before anything was changed: it is in a tunnel already, or there is no memory
  }
  // From here on the packet is no longer what it was: it must not go on to the device. redirect_neigh drops what has no
  // Ethernet header, and fills in its addresses.
  __u8 ether[ETHER] = {};
  ether[ETHER_TYPE_OFFSET] = 0x08;
  // The packet still has its route to the TUN, by which the kernel would send what had to wait for the neighbour: without a
  // header. A tunnel key, which nobody reads, takes its place.
  const struct {
    __u32 id;
    __u32 remote;
  } no_route = {};
  if (set_tunnel_key(skb, &no_route, sizeof no_route, 0) != 0 ||
      store_bytes(skb, 0, &outer, settings.outer_bytes, 0) != 0 ||
      (settings.header_bytes != 0 &&
       store_bytes(skb, settings.outer_bytes, peer->header, settings.header_bytes, 0) != 0) ||
      change_head(skb, ETHER, 0) != 0 || store_bytes(skb, 0, ether, sizeof ether, 0) != 0) {
    count->tx_no_memory += packets;
    return TC_ACT_SHOT_;
  }
  count->tx_packets += packets;
  const __u32 bytes = inner.bytes + (packets - 1) * header;
  count->tx_bytes += bytes;
  count->tx_super_packets += is_super;
  struct accel_peer_bytes* peers = map_lookup(&peer_bytes, &peer->slot);
  if (peers != 0) peers->sent += bytes;
  struct bpf_redir_neigh gateway = {};
  gateway.nh_family = AF_INET_;
  gateway.ipv4_nh = peer->neighbor;
  return redirect_neigh(settings.underlay_if_index, &gateway, sizeof gateway, 0);
}

/** A path may become narrower at any time. A router tells sockets, of which there is the pump's, and the kernel remembers it. */
INLINE void note_news(const struct outer* outer) {
  // What would be a UDP header begins as any L4 header does: here with ICMP's type and code.
  if (outer->ip.protocol != PROTO_ICMP || outer->udp.source != FRAGMENTATION_NEEDED) return;
  if (outer->ip.destination != settings.local_address) return;
  __u32 zero = 0;
  struct accel_counts* count = map_lookup(&counts, &zero);
  if (count != 0) count->path_news++;
}

/** Whether the datagram is one that the program may take, by its UDP header. */
INLINE int fits_udp(const struct outer* outer) {
  if (outer->udp.destination != settings.port) return 0;
  // One with a checksum comes from a socket: the network card may have to finish or to verify it, and the kernel merges
  // such datagrams for the pump's socket, which is faster than one at a time here.
  if (outer->udp.checksum != 0) return 0;
  return outer->udp.length == htons_(htons_(outer->ip.total) - sizeof outer->ip);
}

/** Whether what lies in front of the inner packet is what TypeScript wants there. */
INLINE int fits_header(struct __sk_buff* skb, int is_v6) {
  if (settings.header_bytes == 0) return 1;
  __u64 words[ACCEL_HEADER_WORDS] = {};
  if (load_bytes(skb, ETHER + settings.outer_bytes, words, settings.header_bytes) != 0) return 0;
#pragma unroll
  for (__u32 i = 0; i < ACCEL_HEADER_WORDS; i++) {
    if (i * 8 >= settings.header_bytes) return 1;
    if ((words[i] & settings.expected[is_v6].mask[i]) != settings.expected[is_v6].value[i]) return 0;
  }
  return 1;
}

/** On the underlay's way in: the packet begins with its Ethernet header. */
SECTION("tc/in") int hopsack_in(struct __sk_buff* skb) {
  if (skb->protocol != htons_(0x0800) || skb->vlan_present) return NEXT;
  struct outer outer;
  if (load_bytes(skb, ETHER, &outer, sizeof outer) != 0) return NEXT;
  if (outer.ip.version_length != 0x45) return NEXT;
  if (outer.ip.protocol != settings.protocol) {
    note_news(&outer);
    return NEXT;
  }
  if (settings.protocol == PROTO_UDP && !fits_udp(&outer)) return NEXT;
  if (outer.ip.destination != settings.local_address) return NEXT;
  if (skb->pkt_type != PACKET_HOST_ || (outer.ip.fragment & IS_FRAGMENT) != 0) return NEXT;
  if (ipv4_checksum(&outer.ip) != 0) return NEXT;

  const __u32 overhead = settings.outer_bytes + settings.header_bytes;
  const __u32 outer_bytes = htons_(outer.ip.total);
  if (outer_bytes + ETHER != skb->len) return NEXT;
  const __u32 start = ETHER + overhead;
  struct inner inner = {};
  const struct accel_peer *owner = 0, *taker = 0;
  __u64 family = 0;  // what the kernel must be told of a family that is not the outer one; before Linux 6.3 it refuses
  __u8 version = 0;
  if (load_bytes(skb, start, &version, 1) != 0) return NEXT;
  if (version >> 4 == 4) {
    struct ipv4 ip;
    if (load_bytes(skb, start, &ip, sizeof ip) != 0 || !parse_v4(&ip, &inner)) return NEXT;
    if (!fits_header(skb, 0)) return NEXT;
    owner = find_v4(ip.source);
    taker = find_v4(ip.destination);
  } else if (version >> 4 == 6) {
    struct ipv6 ip;
    if (load_bytes(skb, start, &ip, sizeof ip) != 0 || !parse_v6(&ip, &inner)) return NEXT;
    if (!fits_header(skb, 1)) return NEXT;
    owner = find_v6(ip.source);
    taker = find_v6(ip.destination);
    family = DECAP_L3_IPV6_;
  }
  // The sender must be the host that owns the inner source, and the inner destination ours; what is not is counted by the pump.
  if (owner == 0 || owner->address != outer.ip.source) return NEXT;
  if (taker == 0 || taker->address != ACCEL_OWN) return NEXT;
  if (inner.bytes + overhead != outer_bytes) return NEXT;  // several datagrams that were merged
  if ((outer.ip.tos & ECN) != 0 && ((outer.ip.tos ^ inner.tos) & ECN) != 0) return NEXT;  // congestion marks: RFC 6040
  __u32 header = 0;
  if (skb->gso_size != 0) {
    // No helper takes the mark "in a tunnel" off again. A UDP super-packet would be cut where its tunnel is no more, and
    // lost. TCP is cut without a look at the mark, but cut it is where a device does not speak of tunnels (a bridge before
    // Linux 6.19): what is forwarded to pods is the pump's, which is twice as fast as that.
    if (inner.protocol != PROTO_TCP || !ends_here(skb, &inner, start, family != 0)) return NEXT;
    header = segment_header(skb, start, &inner);
    if (header == 0) return NEXT;
  }
  __u32 zero = 0;
  struct accel_counts* count = map_lookup(&counts, &zero);
  if (count == 0) return NEXT;
  const __u32 packets = wire_packets(skb, &inner, header);
  const __u32 is_super = skb->gso_size != 0;

  if (adjust_room(skb, -(__s32)overhead, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | family) != 0) return NEXT;
  count->rx_packets += packets;
  const __u32 bytes = inner.bytes + (packets - 1) * header;
  count->rx_bytes += bytes;
  count->rx_super_packets += is_super;
  struct accel_peer_bytes* peers = map_lookup(&peer_bytes, &owner->slot);
  if (peers != 0) peers->received += bytes;
  if (settings.merging_if_index == 0 || inner.protocol != PROTO_TCP || is_super) {
    return redirect(settings.tun_if_index, BPF_F_INGRESS);
  }
  // The pair tells the family by the Ethernet header, which is still that of the outer packet.
  const __be16 ether_type = htons_(0x86dd);
  if (family != 0 && store_bytes(skb, ETHER_TYPE_OFFSET, &ether_type, sizeof ether_type, 0) != 0) {
    return redirect(settings.tun_if_index, BPF_F_INGRESS);
  }
  skb->mark = MERGING;
  skb->queue_mapping = (__u16)processor() + 1;  // each processor its own queue of the pair, as if it were a card's
  return redirect(settings.merging_if_index, 0);
}

/**
 * On the way in of the pair's other device, behind the kernel's GRO: TCP packets that arrived singly, merged. What
 * anybody else sends through the pair ends here.
 */
SECTION("tc/merged") int hopsack_merged(struct __sk_buff* skb) {
  if (skb->mark != MERGING) return TC_ACT_SHOT_;
  skb->mark = 0;
  change_type(skb, PACKET_HOST_);  // its Ethernet address is the underlay's, not that of this device
  __u32 zero = 0;
  struct accel_counts* count = map_lookup(&counts, &zero);
  if (count != 0 && skb->gso_size != 0) count->rx_super_packets++;
  return redirect(settings.tun_if_index, BPF_F_INGRESS);
}

// A filter of tc outlives the process that made it. The kernel empties a map of programs when no process has a descriptor of
// it any more: then these doors lead on, as if they were not there.

SECTION("tc/door_in") int hopsack_door_in(struct __sk_buff* skb) {
  tail_call(skb, &programs, ACCEL_IN);
  return NEXT;
}

SECTION("tc/door_out") int hopsack_door_out(struct __sk_buff* skb) {
  tail_call(skb, &programs, ACCEL_OUT);
  return NEXT;
}

SECTION("tc/door_merged") int hopsack_door_merged(struct __sk_buff* skb) {
  tail_call(skb, &programs, ACCEL_MERGED);
  return NEXT;
}
