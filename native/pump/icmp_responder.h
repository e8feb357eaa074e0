// Tells a sender, through the TUN, that its packet was not carried; at most kErrorsPerSecond of them.
#pragma once

#include "pump/counters.h"
#include "pump/token_bucket.h"
#include "wire/icmp.h"

namespace hopsack {

class IcmpResponder {
 public:
  /** Linux's own limits: net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst. */
  static constexpr uint32_t kErrorsPerSecond = 1000, kBurst = 50;

  /** `vnet_header`: whether the TUN wants a virtio_net_hdr in front. */
  IcmpResponder(int tun_fd, bool vnet_header, CounterBlock& counters)
      : tun_fd_(tun_fd), vnet_header_(vnet_header), counters_(counters) {}

  /** `packet` may be the beginning of a longer one; `mtu`: see BuildIcmpError. */
  void Answer(IcmpError error, const IpPacket& packet, uint16_t mtu = 0);

 private:
  int tun_fd_;
  bool vnet_header_;
  CounterBlock& counters_;
  TokenBucket bucket_{kErrorsPerSecond, kBurst};
};

}  // namespace hopsack
