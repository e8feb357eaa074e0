// Writes what the coalescer gathered to the TUN, and falls back to single packets when the kernel refuses a
// super-packet, without losing one.
#pragma once

#include "pump/coalescer.h"
#include "pump/counters.h"

namespace hopsack {

class TunWriter {
 public:
  TunWriter(int tun_fd, bool vnet_header, CounterBlock& counters, SharedCounters& shared)
      : tun_fd_(tun_fd), vnet_header_(vnet_header), counters_(counters), shared_(shared) {}

  void WriteAll(Coalescer& coalescer);

 private:
  void WriteItem(Coalescer& coalescer, size_t item);
  void WriteSingle(const IpPacket& packet);
  void CountWrite(size_t packets, size_t bytes);

  int tun_fd_;
  bool vnet_header_;
  CounterBlock& counters_;
  SharedCounters& shared_;
};

}  // namespace hopsack
