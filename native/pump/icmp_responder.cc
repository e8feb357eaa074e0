#include "pump/icmp_responder.h"

#include <unistd.h>

#include <array>

#include "wire/virtio_net.h"

namespace hopsack {

void IcmpResponder::Answer(IcmpError error, const IpPacket& packet, uint16_t mtu) {
  std::array<uint8_t, sizeof(VirtioNetHeader) + kMaxIcmpErrorBytes> buffer{};
  const size_t offset = vnet_header_ ? sizeof(VirtioNetHeader) : 0;
  const size_t length = BuildIcmpError(error, packet, mtu, buffer.data() + offset);
  if (length == 0) return;
  if (!bucket_.Take()) {
    counters_.Add(Counter::icmp_rate_limited);
    return;
  }
  if (write(tun_fd_, buffer.data(), offset + length) >= 0) counters_.Add(Counter::icmp_sent);
}

}  // namespace hopsack
