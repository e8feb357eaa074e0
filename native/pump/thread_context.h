// What both packet threads are given at start and share with nobody else but the publisher of tables.
#pragma once

#include <array>

#include "pump/counters.h"
#include "pump/stop_event.h"
#include "tables/fib.h"

namespace hopsack {

/** What a datagram must begin with, and what is then stripped. UDP mode: nothing. */
struct ExpectedHeader {
  size_t bytes = 0;
  std::array<uint8_t, kMaxEncapBytes> value{};
  std::array<uint8_t, kMaxEncapBytes> mask{};

  bool Matches(ConstBytes datagram) const {
    if (datagram.size() < bytes) return false;
    for (size_t i = 0; i < bytes; i++) {
      if ((datagram[i] & mask[i]) != value[i]) return false;
    }
    return true;
  }
};

struct OffloadFlags {
  bool tso, uso, udp_gso, udp_gro, tun_gro;
};

struct ThreadContext {
  int tun_fd;
  int socket_fd;
  OffloadFlags offloads;  // what the kernel granted
  bool vnet_header;
  size_t overhead_bytes;
  size_t inner_mtu_bytes;
  ExpectedHeader expected_header;
  bool check_inner_source;
  FibPublisher& fibs;
  const StopEvent& stop;
  SharedCounters shared;
};

// Readers of FibPublisher.
inline constexpr size_t kOutboundReader = 0;
inline constexpr size_t kInboundReader = 1;

}  // namespace hopsack
