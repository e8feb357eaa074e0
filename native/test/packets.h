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

/** Whether IPv4 header checksum and L4 checksum are right, by the slow sum. */
bool ChecksumsAreRight(const Packet& packet);

Packet MakePacket(const Spec& spec);

/** Parsed view; the packet must be well formed. */
IpPacket View(Packet& packet);

}  // namespace hopsack::test
