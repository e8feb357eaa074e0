// One read from a TUN (virtio_net_hdr, packet), the packet taken as one that is not cut: finishing its checksum changes
// that field alone, and what the pump tells a kernel about an unfinished packet is true.
#include "fuzz/fuzz.h"
#include "pump/unfinished.h"
#include "test/super_packets.h"

namespace {

using namespace hopsack;

void CheckFinish(const test::Packet& before, const VirtioNetHeader& offload) {
  test::Packet after = before;
  const size_t field = size_t{offload.csum_start} + offload.csum_offset;
  const bool is_inside = offload.csum_start >= kIpv4HeaderBytes && field + 2 <= before.size();
  MUST(FinishChecksum(after, offload) == is_inside);
  if (!is_inside) return MUST(after == before);
  // What the sum comes to with the field in it, and without: the field is the complement of the first.
  const uint16_t sum = test::SlowSum(&before[offload.csum_start], before.size() - offload.csum_start);
  const uint16_t checksum = LoadBe16(&after[field]);
  const bool is_udp_zero = offload.csum_offset == kUdpChecksum && sum == 0xffff;
  MUST(checksum == (is_udp_zero ? 0xffff : static_cast<uint16_t>(~sum)));
  StoreRaw16(&after[field], LoadRaw16(&before[field]));
  MUST(after == before);
}

/** An unfinished packet, as the TUN is told about it, or as it is finished here. */
void CheckOffload(const IpPacket& packet, const VirtioNetHeader& offload) {
  const test::Packet bytes(packet.bytes.begin(), packet.bytes.end());
  const size_t l4 = packet.header_bytes;
  MUST(!packet.is_fragment() && offload.csum_start == l4 && offload.flags == kVirtioNeedsChecksum);
  MUST(packet.protocol == (offload.csum_offset == kTcpChecksum ? IPPROTO_TCP : IPPROTO_UDP));
  if (offload.gso_type == kVirtioGsoNone) {
    test::Packet finished = bytes;
    MUST(FinishChecksum(finished, offload) && test::L4ChecksumIsRight(finished, l4, packet.protocol));
    return;
  }
  MUST(offload.gso_size != 0 && offload.hdr_len + size_t{offload.gso_size} < bytes.size());
  for (const test::Packet& segment : test::Cut(bytes, offload)) {
    MUST(segment.size() <= offload.hdr_len + size_t{offload.gso_size});
    MUST(test::L4ChecksumIsRight(segment, l4, packet.protocol));
  }
}

}  // namespace

FUZZ(input) {
  const auto header = input.Take<VirtioNetHeader>();
  test::Packet bytes = input.TakeRest();
  CheckFinish(bytes, header);
  IpPacket packet;
  if (ParseIp(bytes, false, &packet) != IpError::kNone) return;
  const VirtioNetHeader offload = OffloadOf(packet, header.gso_size);
  if (offload.flags != 0) CheckOffload(packet, offload);
  const size_t payload = SegmentPayload(packet, header.hdr_len);
  MUST(payload == 0 || (packet.size() > header.hdr_len && payload < header.hdr_len));

  const size_t l4_bytes = packet.size() - packet.header_bytes;
  const bool is_tcp = packet.protocol == IPPROTO_TCP, is_udp = packet.protocol == IPPROTO_UDP;
  const bool has_l4 = !packet.is_fragment() && ((is_tcp && l4_bytes >= 20) || (is_udp && l4_bytes >= 8));
  MUST(has_l4 || offload.flags == 0);
  if (!has_l4) return;
  const test::Packet copy(packet.bytes.begin(), packet.bytes.end());
  const bool is_right = test::L4ChecksumIsRight(copy, packet.header_bytes, packet.protocol);
  const L4Checksum judged = JudgeL4Checksum(packet, packet.header_bytes);
  MUST((judged == L4Checksum::kUnfinished) == (offload.flags != 0));
  if (judged != L4Checksum::kUnfinished) MUST((judged == L4Checksum::kRight) == is_right);
}
