#include "pump/segmenter.h"

#include "test/super_packets.h"

namespace hopsack::test {
namespace {

VirtioNetHeader OffloadOf(const Spec& spec, uint16_t gso_size) {
  const auto ip_bytes = static_cast<uint16_t>(spec.is_v6 ? 40 : 20);
  const auto l4_bytes = static_cast<uint16_t>(spec.is_tcp ? 20 + spec.tcp_option_bytes : 8);
  const uint8_t tcp = spec.is_v6 ? kVirtioGsoTcpV6 : kVirtioGsoTcpV4;
  return {kVirtioNeedsChecksum,
          spec.is_tcp ? tcp : kVirtioGsoUdp,
          static_cast<uint16_t>(ip_bytes + l4_bytes),
          gso_size,
          ip_bytes,
          static_cast<uint16_t>(spec.is_tcp ? kTcpChecksum : kUdpChecksum)};
}

Spec RandomSpec() {
  Spec spec;
  spec.is_v6 = OneIn(2);
  spec.is_tcp = !OneIn(3);
  spec.sequence = static_cast<uint32_t>(Random()());
  spec.ip_id = static_cast<uint16_t>(Random()());
  spec.tcp_option_bytes = RandomBelow(11) * 4;
  spec.payload_bytes = 1 + RandomBelow(OneIn(5) ? 60000 : 4000);
  return spec;
}

}  // namespace

TEST("segmenter: every segment has true lengths and checksums, and the payload arrives whole and in order") {
  for (int round = 0; round < 500; round++) {
    const Spec spec = RandomSpec();
    Packet super = MakePacket(spec);
    const auto gso_size = static_cast<uint16_t>(1 + RandomBelow(OneIn(3) ? 200 : 1448));
    const VirtioNetHeader offload = OffloadOf(spec, gso_size);
    const size_t header = offload.hdr_len;
    Packet payload;
    for (Packet& segment : Cut(super, offload)) {
      IpPacket view;
      CHECK(ParseIp(segment, false, &view) == IpError::kNone && view.size() == segment.size());
      CHECK(ChecksumsAreRight(segment));
      CHECK(segment.size() - header <= gso_size);
      payload.insert(payload.end(), segment.begin() + static_cast<ptrdiff_t>(header), segment.end());
    }
    CHECK(payload == Packet(super.begin() + static_cast<ptrdiff_t>(header), super.end()));
  }
}

TEST("segmenter: sequence numbers and IDs count up, FIN and PSH come last, CWR first") {
  Spec spec;
  spec.sequence = UINT32_MAX - 50;
  spec.ip_id = 0xffff;
  spec.payload_bytes = 250;
  spec.flags = kTcpAckFlag | kTcpPsh | kTcpFin | kTcpCwr | kTcpEce;
  Packet super = MakePacket(spec);
  const std::vector<Packet> segments = Cut(super, OffloadOf(spec, 100));
  CHECK(segments.size() == 3);
  const uint8_t flags[] = {kTcpAckFlag | kTcpCwr | kTcpEce, kTcpAckFlag | kTcpEce,
                           kTcpAckFlag | kTcpEce | kTcpPsh | kTcpFin};
  for (size_t i = 0; i < 3; i++) {
    CHECK(LoadBe32(&segments[i][20 + kTcpSequence]) == static_cast<uint32_t>(spec.sequence + i * 100));
    CHECK(LoadBe16(&segments[i][kIpv4Id]) == static_cast<uint16_t>(spec.ip_id + i));
    CHECK(segments[i][20 + kTcpFlags] == flags[i]);
  }
}

TEST("segmenter: a super-packet without payload is one segment, not none") {
  Spec spec;
  spec.payload_bytes = 0;
  Packet super = MakePacket(spec);
  CHECK(Cut(super, OffloadOf(spec, 100)).size() == 1);
}

TEST("segmenter: offload headers that contradict the packet are refused") {
  const Spec spec;
  Packet super = MakePacket(spec);
  const VirtioNetHeader good = OffloadOf(spec, 50);
  const auto refused = [&](auto change) {
    VirtioNetHeader bad = good;
    change(bad);
    Segmenter segmenter;
    return !segmenter.Init(View(super), bad);
  };
  CHECK(!refused([](VirtioNetHeader&) {}));
  CHECK(!refused([](VirtioNetHeader& h) { h.gso_type |= kVirtioGsoEcn; }));
  CHECK(!refused([](VirtioNetHeader& h) { h.hdr_len = 9999; }));  // a hint only
  CHECK(refused([](VirtioNetHeader& h) { h.gso_size = 0; }));
  CHECK(refused([](VirtioNetHeader& h) { h.flags = 0; }));
  CHECK(refused([](VirtioNetHeader& h) { h.gso_type = kVirtioGsoTcpV6; }));
  CHECK(refused([](VirtioNetHeader& h) { h.gso_type = kVirtioGsoUdp; }));
  CHECK(refused([](VirtioNetHeader& h) { h.gso_type = 3; }));
  CHECK(refused([](VirtioNetHeader& h) { h.csum_start = 24; }));
  CHECK(refused([](VirtioNetHeader& h) { h.csum_offset = 6; }));
  super[20 + kTcpDataOffset] = 0x40;
  CHECK(refused([](VirtioNetHeader&) {}));
}

TEST("segmenter: what is no TCP or no UDP by its IP header, and what is a fragment, is not cut as such") {
  for (const bool is_v6 : {false, true}) {
    Spec spec;
    spec.is_v6 = is_v6;
    Packet super = MakePacket(spec);
    CHECK(!Cut(super, OffloadOf(spec, 50)).empty());
    super[is_v6 ? kIpv6NextHeader : kIpv4Protocol] = IPPROTO_UDP;
    CHECK(Cut(super, OffloadOf(spec, 50)).empty());
  }
  Packet fragment = MakePacket({});
  StoreBe16(&fragment[kIpv4Fragment], kIpv4MoreFragments);
  CHECK(Cut(fragment, OffloadOf({}, 50)).empty());
}

TEST("finish checksum: completes what the kernel left to the device, and stores a UDP zero as ones") {
  for (int round = 0; round < 70000; round++) {
    Spec spec;
    spec.is_tcp = OneIn(4);
    spec.payload_bytes = round < 66000 ? 2 : RandomBelow(1400);
    Packet packet = MakePacket(spec);
    const Packet finished = packet;
    const VirtioNetHeader offload = OffloadOf(spec, 0);
    // What the kernel leaves in the field: the sum of the pseudo-header.
    const uint32_t l4_bytes = static_cast<uint32_t>(packet.size() - 20);
    const uint32_t protocol = packet[kIpv4Protocol];
    StoreBe16(&packet[20u + offload.csum_offset], SlowSum(&packet[kIpv4Source], 8, protocol + l4_bytes));
    CHECK(FinishChecksum(packet, offload));
    CHECK(packet == finished);
  }
}

TEST("finish checksum: a field outside the packet is refused") {
  Packet packet(40);
  CHECK(!FinishChecksum(packet, {1, 0, 0, 0, 38, 1}));
  CHECK(!FinishChecksum(packet, {1, 0, 0, 0, 0xffff, 0xffff}));
  CHECK(!FinishChecksum(packet, {1, 0, 0, 0, 4, 6}));
}

}  // namespace hopsack::test
