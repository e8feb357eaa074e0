// Builds TCP and UDP packets for tests, with checksums by a slow sum of its own: nothing here shares code with the
// product's arithmetic.
#pragma once

#include <vector>

#include "test/check.h"
#include "wire/ip.h"
#include "wire/l4.h"

namespace hopsack::test {

using Packet = std::vector<uint8_t>;

struct Spec {
  bool is_v6 = false;
  bool is_tcp = true;
  uint32_t sequence = 1000;
  uint32_t ack = 7;
  uint16_t ip_id = 1;
  uint16_t window = 500;
  uint16_t source_port = 4000;
  uint8_t flags = kTcpAckFlag;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  bool dont_fragment = true;
  size_t tcp_option_bytes = 12;
  size_t payload_bytes = 100;
};

/** RFC 1071 as one would write it on paper: big-endian words, one at a time. */
uint16_t SlowSum(const uint8_t* data, size_t length, uint32_t initial = 0);

/** Where the L4 header of a packet without IPv6 extension headers begins. */
size_t L4Offset(const Packet& packet);

/** Protocol or next header. */
uint8_t ProtocolOf(const Packet& packet);

/** The sum over addresses, protocol and length, as it stands in the checksum field of an unfinished packet. */
uint16_t PseudoSum(const Packet& packet, size_t l4_offset, uint8_t protocol);

/** Whether the L4 checksum is right, by the slow sum. */
bool L4ChecksumIsRight(const Packet& packet, size_t l4_offset, uint8_t protocol);

/** Whether IPv4 header checksum and L4 checksum are right, by the slow sum. */
bool ChecksumsAreRight(const Packet& packet);

Packet MakePacket(const Spec& spec);

/** Gives a packet whose header fits it its true lengths and checksums; of L4 only TCP and UDP, unfragmented. */
void Mend(Packet& packet);

/** Leaves the L4 checksum of a TCP or UDP packet to the device, as a kernel does that has one which finishes them. */
void Unfinish(Packet& packet);

/** Parsed view; the packet must be well formed. */
IpPacket View(Packet& packet);

}  // namespace hopsack::test
