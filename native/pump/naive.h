// flannel's loop, kept as the benchmark's picture of it: one thread for both directions, one packet per system call,
// no offload, no batch. Same table, same checks, same drop reasons as the real pump.
#pragma once

#include <array>

#include "pump/icmp_responder.h"
#include "pump/thread_context.h"
#include "pump/tun_writer.h"

namespace hopsack {

class NaiveLoop {
 public:
  explicit NaiveLoop(const ThreadContext& context);

  void Run();

 private:
  bool TunToUdp();
  bool UdpToTun();
  void SendPacket(const IpPacket& packet);
  void WritePacket(in_addr_t sender, Bytes datagram);
  bool Accepts(const Fib& fib, in_addr_t sender, Bytes datagram, IpPacket* packet);
  void WaitForWork();

  ThreadContext context_;
  CounterBlock counters_;
  IcmpResponder icmp_;
  TunWriter writer_;
  std::array<uint8_t, kMaxEncapBytes + 65536> buffer_;
};

}  // namespace hopsack
