// Packets of kernel peers whose checksum nobody finished, and which nobody cut: from the datagram to the TUN's writes.
#include "pump/unfinished.h"

#include "test/road.h"

namespace hopsack::test {
namespace {

/** As a kernel hands it to a device that finishes checksums. */
Packet Unfinished(const Spec& spec) {
  Packet packet = MakePacket(spec);
  Unfinish(packet);
  return packet;
}

std::vector<Spec> AllKinds(size_t payload_bytes) {
  std::vector<Spec> specs(4);
  for (size_t i = 0; i < specs.size(); i++) {
    specs[i].is_v6 = (i & 1) != 0;
    specs[i].is_tcp = (i & 2) != 0;
    specs[i].payload_bytes = payload_bytes;
  }
  return specs;
}

constexpr OffloadFlags kAll = {true, true, true, true, true};
constexpr OffloadFlags kNone = {false, false, false, false, false};

}  // namespace

TEST("unfinished: the bare sum of the pseudo-header is told from a right and from a wrong checksum") {
  for (const Spec& spec : AllKinds(333)) {
    const size_t l4 = spec.is_v6 ? 40 : 20;
    Packet right = MakePacket(spec), unfinished = Unfinished(spec), wrong = right;
    wrong.back() ^= 0x20;
    CHECK(JudgeL4Checksum(View(right), l4) == L4Checksum::kRight);
    CHECK(JudgeL4Checksum(View(unfinished), l4) == L4Checksum::kUnfinished);
    CHECK(JudgeL4Checksum(View(wrong), l4) == L4Checksum::kWrong);
    CHECK(OffloadOf(View(right), 100).flags == 0 && OffloadOf(View(wrong), 100).flags == 0);
    CHECK(OffloadOf(View(unfinished), 0).flags == kVirtioNeedsChecksum);
    CHECK(OffloadOf(View(unfinished), 0).gso_type == kVirtioGsoNone);
    CHECK(OffloadOf(View(unfinished), 333).gso_type == kVirtioGsoNone);
    CHECK(OffloadOf(View(unfinished), 332).gso_type != kVirtioGsoNone);
  }
}

TEST("unfinished: no carry is lost when addresses and protocol fill 64 bits with ones") {
  for (const bool is_tcp : {false, true}) {
    Spec spec;
    spec.is_v6 = true;
    spec.is_tcp = is_tcp;
    Packet packet = MakePacket(spec);
    std::fill_n(&packet[kIpv6Source], 32, uint8_t{0});
    std::fill_n(&packet[kIpv6Source + 8], 8, uint8_t{0xff});
    packet[kIpv6Source + 9] = static_cast<uint8_t>(0xff - packet[kIpv6NextHeader]);
    Mend(packet);
    CHECK(JudgeL4Checksum(View(packet), kIpv6HeaderBytes) == L4Checksum::kRight);
    Unfinish(packet);
    CHECK(JudgeL4Checksum(View(packet), kIpv6HeaderBytes) == L4Checksum::kUnfinished);
  }
}

TEST("unfinished: fragments and cut-off headers are left alone") {
  Spec spec;
  spec.payload_bytes = 8;
  Packet fragment = Unfinished(spec);
  StoreBe16(&fragment[kIpv4Fragment], kIpv4MoreFragments);
  CHECK(OffloadOf(View(fragment), 0).flags == 0);
  Packet stump = Unfinished(spec);
  stump.resize(30);
  StoreBe16(&stump[kIpv4TotalLength], 30);
  CHECK(OffloadOf(View(stump), 0).flags == 0);
}

TEST("unfinished: a lone packet is written with the order to finish its checksum") {
  Road road(kAll);
  for (const Spec& spec : AllKinds(333)) {
    const Packet packet = Unfinished(spec);
    road.Send(packet);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 1 && written[0].bytes == packet);
    CHECK(written[0].offload.flags == kVirtioNeedsChecksum && written[0].offload.gso_type == kVirtioGsoNone);
    Packet finished = written[0].bytes;
    CHECK(FinishChecksum(finished, written[0].offload) && ChecksumsAreRight(finished));
  }
}

TEST("unfinished: a packet whose checksum is right, or wrong, is written as it is") {
  Road road(kAll);
  for (const Spec& spec : AllKinds(333)) {
    for (const bool is_damaged : {false, true}) {
      Packet packet = MakePacket(spec);
      if (is_damaged) packet.back() ^= 1;
      road.Send(packet);
      const std::vector<Written> written = road.Receive();
      CHECK(written.size() == 1 && written[0].bytes == packet && written[0].offload.flags == 0);
    }
  }
}

TEST("unfinished: a packet of many segments that lies in one receive is one write, cut by the kernel") {
  for (const Spec& spec : AllKinds(9000)) {
    Road road(kAll);
    const Packet packet = Unfinished(spec);
    road.Send(packet, 1000);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 1 && written[0].bytes == packet);
    CHECK(written[0].offload.gso_size == 1000 && written[0].offload.flags == kVirtioNeedsChecksum);
    CHECK(road.count(Counter::udp_rx_datagrams) == 1);
    CHECK(road.count(Counter::tun_tx_super_packets) == 1 && road.count(Counter::tun_tx_packets) == 9);
    for (const Packet& segment : Cut(written[0].bytes, written[0].offload)) CHECK(ChecksumsAreRight(segment));
  }
}

TEST("unfinished: short UDP datagrams in one uncut packet stay datagrams, also below the MTU") {
  Road road(kAll);
  Spec spec;
  spec.is_tcp = false;
  spec.payload_bytes = 300;
  road.Send(Unfinished(spec), 100);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].offload.gso_size == 100 && written[0].offload.gso_type == kVirtioGsoUdp);
}

TEST("unfinished: several packets in one receive are still told apart") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 1000;
  Packet datagrams;
  std::vector<Packet> packets;
  for (int i = 0; i < 9; i++) {
    packets.push_back(MakePacket(spec));
    datagrams.insert(datagrams.end(), packets.back().begin(), packets.back().end());
    spec.sequence += 1000;
    spec.ip_id++;
  }
  road.Send(datagrams, static_cast<uint16_t>(packets[0].size()));
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].offload.gso_size == 1000);
  CHECK(road.count(Counter::udp_rx_datagrams) == 9 && road.count(Counter::tun_tx_packets) == 9);
}

TEST("unfinished: without offloads towards the TUN an uncut packet is cut here, checksums finished") {
  for (const Spec& spec : AllKinds(9000)) {
    OffloadFlags offloads = kNone;
    offloads.udp_gro = true;
    Road road(offloads);
    const Packet packet = Unfinished(spec);
    road.Send(packet, 1000);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 9);
    for (const Written& segment : written) CHECK(segment.offload.flags == 0 && ChecksumsAreRight(segment.bytes));
    CHECK(road.count(Counter::tun_tx_packets) == 9 && road.count(Counter::tun_tx_super_packets) == 0);
  }
}

TEST("unfinished: an uncut TCP packet of unknown segment size is cut to the MTU") {
  Road road(kNone);
  Spec spec;
  spec.payload_bytes = 9000;
  road.Send(Unfinished(spec));
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 7);
  for (const Written& segment : written) CHECK(segment.bytes.size() <= Road::kMtu && ChecksumsAreRight(segment.bytes));
}

TEST("unfinished: a packet longer than the MTU that is finished is left to the receiver") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 3000;
  const Packet packet = MakePacket(spec);
  road.Send(packet);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].bytes == packet && written[0].offload.gso_type == kVirtioGsoNone);
}

TEST("unfinished: segments of one flow merge, finished or not; a wrong one never") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 1000;
  std::vector<Packet> packets;
  for (int i = 0; i < 6; i++) {
    packets.push_back(i % 2 == 0 ? Unfinished(spec) : MakePacket(spec));
    spec.sequence += 1000;
    spec.ip_id++;
  }
  packets[4].back() ^= 1;  // nobody can tell: its sender has not summed it up
  packets[5].back() ^= 1;
  for (const Packet& packet : packets) road.Send(packet);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 2);
  CHECK(written[0].offload.gso_size == 1000 && written[0].bytes.size() == packets[0].size() + 4000);
  CHECK(written[1].bytes == packets[5] && written[1].offload.flags == 0);
}

TEST("unfinished: nothing of its flow overtakes an uncut packet") {
  Coalescer coalescer({true, true});
  Spec spec;
  spec.payload_bytes = 1000;
  Packet first = MakePacket(spec);
  spec.sequence += 1000;
  spec.ip_id++;
  Packet third = MakePacket(spec);  // would merge with the first
  Spec whole = spec;
  whole.sequence = 77;
  whole.payload_bytes = 5000;
  Packet second = Unfinished(whole);
  coalescer.Add(View(first));
  coalescer.Add(View(second), 1000);
  coalescer.Add(View(third));
  CHECK(coalescer.item_count() == 3);
}

TEST("unfinished: an uncut packet that contradicts itself is one packet, whatever the receive says") {
  for (int round = 0; round < 20000; round++) {
    Spec spec = AllKinds(RandomBelow(3000))[RandomBelow(4)];
    Packet packet = Unfinished(spec);
    const size_t l4 = spec.is_v6 ? 40 : 20;
    packet[l4 + RandomBelow(packet.size() - l4)] = static_cast<uint8_t>(Random()());
    packet.resize(packet.size() - (OneIn(2) ? RandomBelow(8) : 0));
    IpPacket view;
    if (ParseIp(packet, true, &view) != IpError::kNone) continue;
    const size_t gso_size = 1 + RandomBelow(2000);
    const VirtioNetHeader offload = OffloadOf(view, gso_size);
    SegmentPayload(view, RandomBelow(1500));
    if (offload.gso_type == kVirtioGsoNone) continue;
    size_t bytes = 0;
    for (const Packet& segment : Cut(packet, offload)) bytes += segment.size();
    CHECK(bytes == 0 || bytes >= packet.size());
  }
}

}  // namespace hopsack::test
