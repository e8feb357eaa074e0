#include "pump/icmp_responder.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "wire/virtio_net.h"

namespace hopsack {
namespace {

uint64_t NowMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace

bool IcmpResponder::TakeToken() {
  const uint64_t now = NowMilliseconds();
  const uint64_t earned = (now - last_refill_ms_) * kErrorsPerSecond / 1000;
  if (earned > 0) {
    tokens_ = static_cast<uint32_t>(std::min<uint64_t>(kBurst, tokens_ + earned));
    last_refill_ms_ = now;
  }
  if (tokens_ == 0) return false;
  tokens_--;
  return true;
}

void IcmpResponder::Answer(IcmpError error, const IpPacket& packet, uint16_t mtu) {
  std::array<uint8_t, sizeof(VirtioNetHeader) + kMaxIcmpErrorBytes> buffer{};
  const size_t offset = vnet_header_ ? sizeof(VirtioNetHeader) : 0;
  const size_t length = BuildIcmpError(error, packet, mtu, buffer.data() + offset);
  if (length == 0) return;
  if (!TakeToken()) {
    counters_.Add(Counter::icmp_rate_limited);
    return;
  }
  if (write(tun_fd_, buffer.data(), offset + length) >= 0) counters_.Add(Counter::icmp_sent);
}

}  // namespace hopsack
