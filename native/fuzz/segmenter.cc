// One read from a TUN (virtio_net_hdr, packet): the packets that a super-packet is cut to are true, and nothing of it
// is lost.
#include "pump/segmenter.h"

#include "fuzz/fuzz.h"
#include "test/super_packets.h"

namespace {

using namespace hopsack;

/** Everything but what differs from segment to segment. */
test::Packet Constant(test::Packet header, size_t l4, bool is_tcp) {
  const bool is_v6 = header[0] >> 4 == 6;
  StoreBe16(&header[is_v6 ? kIpv6PayloadLength : kIpv4TotalLength], 0);
  if (!is_v6) StoreBe16(&header[kIpv4Id], 0);
  if (!is_v6) StoreBe16(&header[kIpv4Checksum], 0);
  if (is_tcp) StoreBe32(&header[l4 + kTcpSequence], 0);
  if (is_tcp) header[l4 + kTcpFlags] &= static_cast<uint8_t>(~(kTcpCwr | kTcpFin | kTcpPsh));
  if (!is_tcp) StoreBe16(&header[l4 + kUdpLength], 0);
  StoreBe16(&header[l4 + (is_tcp ? kTcpChecksum : kUdpChecksum)], 0);
  return header;
}

void CheckTcp(const uint8_t* super, const uint8_t* tcp, size_t before, bool is_first, bool is_last) {
  MUST(LoadBe32(tcp + kTcpSequence) == static_cast<uint32_t>(LoadBe32(super + kTcpSequence) + before));
  const int ends = kTcpFin | kTcpPsh;
  MUST((tcp[kTcpFlags] & ends) == (is_last ? super[kTcpFlags] & ends : 0));
  MUST((tcp[kTcpFlags] & kTcpCwr) == (is_first ? super[kTcpFlags] & kTcpCwr : 0));
}

}  // namespace

FUZZ(input) {
  const auto offload = input.Take<VirtioNetHeader>();
  test::Packet super = input.TakeRest();
  IpPacket packet;
  if (ParseIp(super, true, &packet) != IpError::kNone) return;
  Segmenter segmenter;
  if (!segmenter.Init(packet, offload)) return;
  const size_t l4 = offload.csum_start, header_bytes = segmenter.header_bytes();
  const bool is_tcp = offload.csum_offset == kTcpChecksum;
  MUST(header_bytes <= super.size() && segmenter.segment_bytes() == header_bytes + offload.gso_size);
  if (super.size() > 0xffff + l4) return;  // longer than any kernel makes them

  const std::vector<test::Packet> segments = test::Cut(super, offload);
  MUST(segments.size() == segmenter.segment_count() && !segments.empty());
  const test::Packet constant =
      Constant({super.begin(), super.begin() + static_cast<ptrdiff_t>(header_bytes)}, l4, is_tcp);
  test::Packet payload;
  for (const test::Packet& segment : segments) {
    const bool is_first = &segment == &segments.front(), is_last = &segment == &segments.back();
    test::Packet copy = segment;
    IpPacket view;
    MUST(ParseIp(copy, false, &view) == IpError::kNone && view.size() == segment.size());
    MUST(is_last ? segment.size() <= segmenter.segment_bytes() : segment.size() == segmenter.segment_bytes());
    MUST(view.is_v6 || test::SlowSum(segment.data(), l4) == 0xffff);
    MUST(test::L4ChecksumIsRight(segment, l4, is_tcp ? IPPROTO_TCP : IPPROTO_UDP));
    MUST(is_tcp || LoadBe16(&segment[l4 + kUdpChecksum]) != 0);
    MUST(is_tcp || LoadBe16(&segment[l4 + kUdpLength]) == segment.size() - l4);
    copy.resize(header_bytes);
    MUST(Constant(copy, l4, is_tcp) == constant);
    if (is_tcp) CheckTcp(&super[l4], &segment[l4], payload.size(), is_first, is_last);
    const auto index = static_cast<size_t>(&segment - segments.data());
    MUST(view.is_v6 || LoadBe16(&segment[kIpv4Id]) == static_cast<uint16_t>(LoadBe16(&super[kIpv4Id]) + index));
    payload.insert(payload.end(), segment.begin() + static_cast<ptrdiff_t>(header_bytes), segment.end());
  }
  MUST(payload == test::Packet(super.begin() + static_cast<ptrdiff_t>(header_bytes), super.end()));
  // The segments say themselves what they are: a header that names another protocol would not be understood.
  MUST(l4 != packet.header_bytes || packet.protocol == (is_tcp ? IPPROTO_TCP : IPPROTO_UDP));
  MUST(!packet.is_fragment());
}
