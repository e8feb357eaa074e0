#include "test/super_packets.h"

namespace hopsack::test {

std::vector<Packet> Cut(Packet super, const VirtioNetHeader& offload) {
  std::vector<Packet> segments;
  IpPacket view;
  Segmenter segmenter;
  if (ParseIp(super, true, &view) != IpError::kNone || !segmenter.Init(view, offload)) return segments;
  for (size_t i = 0; i < segmenter.segment_count(); i++) {
    Packet segment(segmenter.header_bytes());
    const ConstBytes payload = segmenter.Stamp(i, segment.data());
    segment.insert(segment.end(), payload.begin(), payload.end());
    segments.push_back(segment);
  }
  return segments;
}

Written Gather(const Coalescer::Write& write) {
  Written written{};
  std::memcpy(&written.offload, write.iov[0].iov_base, sizeof written.offload);
  for (size_t i = 1; i < write.iov_count; i++) {
    const auto* base = static_cast<const uint8_t*>(write.iov[i].iov_base);
    written.bytes.insert(written.bytes.end(), base, base + write.iov[i].iov_len);
  }
  return written;
}

}  // namespace hopsack::test
