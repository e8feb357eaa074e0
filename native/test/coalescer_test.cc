#include "pump/coalescer.h"

#include <algorithm>
#include <climits>
#include <map>

#include "pump/unfinished.h"
#include "test/super_packets.h"

namespace hopsack::test {
namespace {

struct Output {
  Written write;
  size_t packets;
};

std::vector<Output> Coalesce(std::vector<Packet>& packets, Coalescer::Options options = {true, true}) {
  Coalescer coalescer(options);
  for (Packet& packet : packets) coalescer.Add(View(packet));
  std::vector<Output> outputs;
  for (size_t i = 0; i < coalescer.item_count(); i++) {
    const Coalescer::Write write = coalescer.Build(i);
    outputs.push_back({Gather(write), write.packets});
  }
  return outputs;
}

std::vector<Packet> SegmentAll(const std::vector<Output>& outputs) {
  std::vector<Packet> packets;
  for (const auto& [write, count] : outputs) {
    const bool is_super = write.offload.gso_type != kVirtioGsoNone;
    const std::vector<Packet> cut = is_super ? Cut(write.bytes, write.offload) : std::vector<Packet>{write.bytes};
    packets.insert(packets.end(), cut.begin(), cut.end());
  }
  return packets;
}

/** A few flows, mostly well behaved, with everything that must stop a merge strewn in. */
std::vector<Packet> RandomTraffic() {
  std::vector<Spec> flows(1 + RandomBelow(3));
  for (size_t i = 0; i < flows.size(); i++) {
    flows[i].is_v6 = OneIn(3);
    flows[i].is_tcp = !OneIn(3);
    flows[i].source_port = static_cast<uint16_t>(4000 + i);
    flows[i].payload_bytes = 1 + RandomBelow(1400);
    flows[i].sequence = static_cast<uint32_t>(Random()());
    flows[i].ip_id = static_cast<uint16_t>(Random()());
    flows[i].dont_fragment = OneIn(2);
  }
  std::vector<Packet> packets;
  for (size_t i = RandomBelow(120); i > 0; i--) {
    Spec& flow = flows[RandomBelow(flows.size())];
    Spec spec = flow;
    if (OneIn(15)) spec.payload_bytes = RandomBelow(1400);
    if (OneIn(15)) spec.flags |= kTcpPsh;
    if (OneIn(20)) spec.flags |= static_cast<uint8_t>(1 << RandomBelow(8));
    if (OneIn(20)) flow.ack = spec.ack += 1;
    if (OneIn(20)) spec.sequence += 3;
    if (OneIn(20)) spec.tos = 2;
    if (OneIn(20)) spec.ttl = 63;
    if (OneIn(20)) spec.window = 501;
    if (OneIn(20)) spec.tcp_option_bytes = 0;
    // Never the ID of the packet before: with DF that merges too, and comes back counted up (a test of its own).
    if (OneIn(20)) spec.ip_id = static_cast<uint16_t>(spec.ip_id + 1 + RandomBelow(60000));
    packets.push_back(MakePacket(spec));
    // Damaged on the way; but one checksum in 65536 happens to look unfinished, and nobody can tell such a packet.
    if (OneIn(25) && OffloadOf(View(packets.back()), 0).flags == 0) packets.back()[packets.back().size() - 1] ^= 1;
    flow.sequence = spec.sequence + static_cast<uint32_t>(spec.payload_bytes);
    flow.ip_id = static_cast<uint16_t>(spec.ip_id + 1);
  }
  return packets;
}

uint32_t PortsOf(const Packet& packet) {
  return LoadBe32(&packet[packet[0] >> 4 == 6 ? 40 : 20]);
}

/** Packets of each flow in their order; between flows the order is free. */
std::map<uint32_t, std::vector<Packet>> ByFlow(const std::vector<Packet>& packets) {
  std::map<uint32_t, std::vector<Packet>> flows;
  for (const Packet& packet : packets) flows[PortsOf(packet)].push_back(packet);
  return flows;
}

bool IsPureAck(const Packet& packet) {
  const size_t l4 = packet[0] >> 4 == 6 ? 40 : 20;
  return packet[packet[0] >> 4 == 6 ? kIpv6NextHeader : kIpv4Protocol] == IPPROTO_TCP &&
         packet[l4 + kTcpFlags] == kTcpAckFlag && packet.size() == l4 + TcpHeaderLength(&packet[l4]);
}

size_t CountWrites(std::vector<Packet> packets) {
  return Coalesce(packets).size();
}

std::vector<Packet> TwoPackets(const Spec& first, void (*change)(Spec&)) {
  Spec second = first;
  second.sequence += static_cast<uint32_t>(first.payload_bytes);
  second.ip_id++;
  change(second);
  return {MakePacket(first), MakePacket(second)};
}

}  // namespace

TEST("coalescer: segment(coalesce(x)) = x, byte for byte, for every flow, in order") {
  size_t merged = 0;
  for (int round = 0; round < 3000; round++) {
    std::vector<Packet> packets = RandomTraffic();
    // A pure ACK may be overtaken by data of its flow, as in the kernel: compared apart.
    std::vector<Output> outputs = Coalesce(packets);
    std::vector<Packet> again = SegmentAll(outputs);
    merged += packets.size() - outputs.size();
    CHECK(again.size() == packets.size());
    const auto acks_in = std::count_if(packets.begin(), packets.end(), IsPureAck);
    CHECK(acks_in == std::count_if(again.begin(), again.end(), IsPureAck));
    std::erase_if(packets, IsPureAck);
    std::erase_if(again, IsPureAck);
    CHECK(ByFlow(again) == ByFlow(packets));
  }
  CHECK(merged > 1000);
}

TEST("coalescer: a run of full segments of one flow becomes one super-packet of at most 65535 bytes") {
  for (const bool is_v6 : {false, true}) {
    Spec spec;
    spec.is_v6 = is_v6;
    spec.payload_bytes = 1400;
    std::vector<Packet> packets;
    for (int i = 0; i < 60; i++) {
      packets.push_back(MakePacket(spec));
      spec.sequence += 1400;
      spec.ip_id++;
    }
    const std::vector<Output> outputs = Coalesce(packets);
    CHECK(outputs.size() == 2);
    CHECK(outputs[0].write.bytes.size() <= 65535 && outputs[0].packets == 46);
    const VirtioNetHeader& offload = outputs[0].write.offload;
    CHECK(offload.gso_size == 1400 && offload.flags == kVirtioNeedsChecksum);
  }
}

TEST("coalescer: no write has more pieces than writev takes, however small the segments") {
  Spec spec;
  spec.payload_bytes = 1;
  std::vector<Packet> packets(Coalescer::kMaxPackets);
  for (Packet& packet : packets) {
    packet = MakePacket(spec);
    spec.sequence++;
    spec.ip_id++;
  }
  Coalescer coalescer({true, true});
  for (Packet& packet : packets) coalescer.Add(View(packet));
  CHECK(coalescer.full() && coalescer.item_count() == 1);
  CHECK(coalescer.Build(0).iov_count <= IOV_MAX);
}

TEST("coalescer: equal UDP datagrams merge up to 64, and a shorter one ends the run") {
  Spec spec;
  spec.is_tcp = false;
  std::vector<Packet> packets;
  for (int i = 0; i < 70; i++) {
    packets.push_back(MakePacket(spec));
    spec.ip_id++;
  }
  CHECK(Coalesce(packets)[0].packets == 64);
  spec.payload_bytes = 10;
  packets = {packets[0], packets[1]};
  spec.ip_id = 3;
  packets.push_back(MakePacket(spec));
  spec.ip_id = 4;
  packets.push_back(MakePacket(spec));
  CHECK(Coalesce(packets).size() == 2);
  CHECK(CountWrites({packets[0], packets[1]}) == 1);
}

TEST("coalescer: what the kernel's GRO would not merge is not merged") {
  const Spec base;
  CHECK(CountWrites(TwoPackets(base, [](Spec&) {})) == 1);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.sequence++; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.sequence--; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.ack++; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.window++; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.ttl--; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.tos = 3; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.dont_fragment = false; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.tcp_option_bytes = 0; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.source_port++; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.payload_bytes++; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.payload_bytes = 0; })) == 2);
  CHECK(CountWrites(TwoPackets(base, [](Spec& s) { s.ip_id += 5; })) == 2);
  for (const int flag : {0x01, 0x02, 0x04, 0x20, 0x40, 0x80}) {
    std::vector<Packet> packets = TwoPackets(base, [](Spec&) {});
    Packet& second = packets[1];
    Spec spec = base;
    spec.sequence += static_cast<uint32_t>(base.payload_bytes);
    spec.ip_id++;
    spec.flags |= static_cast<uint8_t>(flag);
    second = MakePacket(spec);
    CHECK(CountWrites(packets) == 2);
  }
}

TEST("coalescer: with DF a constant IP ID merges too, without DF it does not") {
  Spec spec;
  CHECK(CountWrites(TwoPackets(spec, [](Spec& s) { s.ip_id--; })) == 1);
  spec.dont_fragment = false;
  CHECK(CountWrites(TwoPackets(spec, [](Spec& s) { s.ip_id--; })) == 2);
}

TEST("coalescer: IP IDs of one super-packet are all constant or all count up, as in the kernel") {
  for (const std::initializer_list<uint16_t> ids : {std::initializer_list<uint16_t>{5, 5, 6}, {5, 6, 6}, {5, 6, 5}}) {
    Spec spec;
    std::vector<Packet> packets;
    for (const uint16_t id : ids) {
      spec.ip_id = id;
      packets.push_back(MakePacket(spec));
      spec.sequence += static_cast<uint32_t>(spec.payload_bytes);
    }
    CHECK(CountWrites(packets) == 2);
  }
}

TEST("coalescer: a packet with a wrong checksum is never part of a super-packet, first or later") {
  for (const size_t damaged : {size_t{0}, size_t{1}}) {
    std::vector<Packet> packets = TwoPackets(Spec(), [](Spec&) {});
    packets[damaged].back() ^= 0x10;
    const std::vector<Packet> original = packets;
    const std::vector<Output> outputs = Coalesce(packets);
    CHECK(outputs.size() == 2);
    for (size_t i = 0; i < 2; i++) {
      CHECK(outputs[i].write.bytes == original[i] && outputs[i].write.offload.flags == 0);
    }
  }
}

TEST("coalescer: a packet with a wrong IPv4 header checksum is never part of a super-packet, first or later") {
  for (const size_t damaged : {size_t{0}, size_t{1}}) {
    std::vector<Packet> packets = TwoPackets(Spec(), [](Spec&) {});
    packets[damaged][kIpv4Checksum] ^= 0x10;
    CHECK(CountWrites(packets) == 2);
  }
}

TEST("coalescer: nothing overtakes a FIN of its flow, nor any fragment") {
  Spec spec;
  std::vector<Packet> packets = TwoPackets(spec, [](Spec&) {});
  Spec fin = spec;
  fin.flags |= kTcpFin;
  fin.source_port = spec.source_port;
  packets.insert(packets.begin() + 1, MakePacket(fin));
  CHECK(CountWrites(packets) == 3);

  packets = TwoPackets(spec, [](Spec&) {});
  Packet fragment = packets[0];
  StoreBe16(&fragment[kIpv4Fragment], 100);
  packets.insert(packets.begin() + 1, fragment);
  CHECK(CountWrites(packets) == 3);
}

TEST("coalescer: nothing overtakes a packet of its flow that has IPv4 options") {
  const std::vector<Packet> two = TwoPackets(Spec(), [](Spec&) {});
  Packet with_options = two[1];
  with_options[0] = 0x46;
  with_options.insert(with_options.begin() + 20, {1, 1, 1, 1});
  Mend(with_options);
  CHECK(CountWrites({two[0], with_options, two[1]}) == 3);
}

TEST("coalescer: nothing overtakes an IPv6 packet whose extension headers hide its flow") {
  Spec spec;
  spec.is_v6 = true;
  spec.is_tcp = false;
  for (const uint8_t extension : std::initializer_list<uint8_t>{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
                                                                IPPROTO_DSTOPTS, IPPROTO_AH}) {
    std::vector<Packet> packets = TwoPackets(spec, [](Spec&) {});
    Packet hidden = packets[0];
    hidden[kIpv6NextHeader] = extension;
    packets.insert(packets.begin() + 1, hidden);
    CHECK(CountWrites(packets) == 3);
  }
}

TEST("coalescer: data goes on merging behind a pure ACK of its flow") {
  std::vector<Packet> packets = TwoPackets(Spec(), [](Spec&) {});
  Spec ack;
  ack.payload_bytes = 0;
  packets.insert(packets.begin() + 1, MakePacket(ack));
  CHECK(CountWrites(packets) == 2);
}

TEST("coalescer: data does not overtake an empty segment that says more than ACK") {
  for (const int flag : {kTcpPsh, kTcpEce}) {
    std::vector<Packet> packets = TwoPackets(Spec(), [](Spec&) {});
    Spec empty;
    empty.payload_bytes = 0;
    empty.flags |= static_cast<uint8_t>(flag);
    packets.insert(packets.begin() + 1, MakePacket(empty));
    CHECK(CountWrites(packets) == 3);
  }
}

TEST("coalescer: switched off it passes everything on untouched") {
  std::vector<Packet> packets = TwoPackets(Spec(), [](Spec&) {});
  CHECK(Coalesce(packets, {false, false}).size() == 2);
}

}  // namespace hopsack::test
