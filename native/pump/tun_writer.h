// Writes what the coalescer gathered to the TUN, and falls back to single packets when the kernel refuses a
// super-packet, without losing one. What a sender left unfinished is finished on the way: by the kernel, or here.
#pragma once

#include "pump/coalescer.h"
#include "pump/counters.h"

namespace hopsack {

class TunWriter {
 public:
  TunWriter(int tun_fd, bool vnet_header, CounterBlock& counters, SharedCounters& shared)
      : tun_fd_(tun_fd), vnet_header_(vnet_header), counters_(counters), shared_(shared) {}

  void WriteAll(Coalescer& coalescer);

  /** One packet, in one write; or as many as it takes when it must be cut (`gso_size`: Coalescer::Add). */
  void Write(const IpPacket& packet, size_t gso_size);

 private:
  void WriteItem(Coalescer& coalescer, size_t item);
  void WriteSegments(const IpPacket& packet, const VirtioNetHeader& offload);
  void WritePieces(VirtioNetHeader offload, ConstBytes head, ConstBytes tail);
  void CountWrite(size_t packets, size_t bytes);

  int tun_fd_;
  bool vnet_header_;
  CounterBlock& counters_;
  SharedCounters& shared_;
};

}  // namespace hopsack
