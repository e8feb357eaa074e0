// What both packet threads are given at start and share with nobody else but the publisher of tables.
#pragma once

#include <span>

#include "pump/counters.h"
#include "pump/expected_header.h"
#include "pump/outer_header.h"
#include "pump/punt_queue.h"
#include "pump/stop_event.h"
#include "tables/fib.h"

namespace hopsack {

struct OffloadFlags {
  bool tso, uso, udp_gso, udp_gro, tun_gro;
};

struct ThreadContext {
  int tun_fd;
  int socket_fd;               // receives
  std::span<const int> lanes;  // send; UDP mode: socket_fd alone
  OffloadFlags offloads;       // what the kernel granted
  bool vnet_header;
  size_t overhead_bytes;
  size_t inner_mtu_bytes;
  ExpectedHeader expected_header;
  bool check_inner_addresses;  // of arriving packets: source the sender's, destination ours
  PuntQueue* punts;            // nullptr: this mode has no questions
  FibPublisher& fibs;
  const StopEvent& stop;
  SharedCounters shared;
  OuterRules outer = {};
};

// Readers of FibPublisher.
inline constexpr size_t kOutboundReader = 0;
inline constexpr size_t kInboundReader = 1;

}  // namespace hopsack
