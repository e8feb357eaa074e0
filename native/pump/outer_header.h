// What the outer IP header of a packet says beside its addresses. The kernel builds that header; here is what it is
// told.
#pragma once

#include "wire/ip.h"

namespace hopsack {

/** Of one packet. */
struct OuterHeader {
  uint8_t lane = 0;  // which socket sends it
  uint8_t tos = 0;
  uint8_t ttl = 0;  // 0: the kernel's default

  bool operator==(const OuterHeader&) const = default;
};

/** How it follows from the inner one. */
struct OuterRules {
  // IP-in-IP (RFC 2003): TTL and DF are the inner packet's, there are two lanes (kDontFragment, kMayFragment), and what
  // is received has the outer header in front. Routing into the TUN has taken one off the TTL: nobody does so again.
  bool is_ipip = false;
  bool inherits_dscp = false;  // RFC 2983: uniform model; else the outer DSCP is 0

  static constexpr uint8_t kDontFragment = 0, kMayFragment = 1;

  /** The ECN bits are repeated (RFC 6040 4.1, normal mode). */
  uint8_t TosOf(const IpPacket& packet) const { return inherits_dscp ? packet.tos() : packet.ecn(); }

  /** Of an IP-in-IP packet, which is IPv4. */
  OuterHeader IpipOf(const IpPacket& packet) const {
    const bool dont_fragment = (LoadBe16(packet.data() + kIpv4Fragment) & kIpv4DontFragment) != 0;
    return {dont_fragment ? kDontFragment : kMayFragment, TosOf(packet), packet.data()[kIpv4Ttl]};
  }

  /** What a receive has in front of the tunnel's own header. */
  size_t BytesBefore(ConstBytes received) const {
    if (!is_ipip || received.empty()) return 0;
    return std::min(received.size(), static_cast<size_t>(received[0] & 15) * 4);
  }
};

}  // namespace hopsack
