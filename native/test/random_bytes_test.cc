// Every parser on bytes that mean nothing, under the sanitizers: no crash, no read outside, no write outside.
#include "pump/coalescer.h"
#include "pump/segmenter.h"
#include "test/packets.h"
#include "wire/icmp.h"

namespace hopsack::test {
namespace {

/** Half of them start like a packet, so that they get past the first checks. */
Packet RandomPacket() {
  Packet bytes = RandomBytes(RandomBelow(OneIn(8) ? 3000 : 130));
  if (OneIn(2) || bytes.size() < 48) return bytes;
  Spec spec;
  spec.is_v6 = OneIn(2);
  spec.is_tcp = OneIn(2);
  spec.payload_bytes = RandomBelow(200);
  Packet packet = MakePacket(spec);
  for (size_t i = RandomBelow(4); i > 0; i--) packet[RandomBelow(packet.size())] = bytes[i];
  packet.resize(packet.size() - (OneIn(3) ? RandomBelow(20) : 0));
  return packet;
}

}  // namespace

TEST("random bytes: the IP parser keeps to its bytes, and ICMP answers stay within their limit") {
  for (int round = 0; round < 100000; round++) {
    Packet bytes = RandomPacket();
    IpPacket packet;
    if (ParseIp(bytes, OneIn(2), &packet) != IpError::kNone) continue;
    CHECK(packet.size() <= bytes.size() && packet.header_bytes <= packet.size());
    Packet out(kMaxIcmpErrorBytes);
    CHECK(BuildIcmpError(static_cast<IcmpError>(RandomBelow(3)), packet, 1400, out.data()) <= out.size());
  }
}

TEST("random bytes: the segmenter refuses or cuts them without leaving the packet") {
  for (int round = 0; round < 100000; round++) {
    Packet bytes = RandomPacket();
    VirtioNetHeader offload{1,
                            static_cast<uint8_t>(RandomBelow(6)),
                            0,
                            static_cast<uint16_t>(RandomBelow(300)),
                            static_cast<uint16_t>(OneIn(2) ? 20 : 40),
                            static_cast<uint16_t>(OneIn(2) ? 16 : 6)};
    if (OneIn(3)) offload.csum_start = static_cast<uint16_t>(Random()());
    IpPacket packet;
    if (ParseIp(bytes, true, &packet) != IpError::kNone) continue;
    FinishChecksum(packet.bytes, offload);
    Segmenter segmenter;
    if (!segmenter.Init(packet, offload)) continue;
    size_t payload_bytes = 0;
    std::array<uint8_t, kMaxInnerHeaderBytes> header;
    for (size_t i = 0; i < segmenter.segment_count(); i++) payload_bytes += segmenter.Stamp(i, header.data()).size();
    CHECK(payload_bytes + segmenter.header_bytes() == packet.size());
  }
}

TEST("random bytes: the coalescer passes every packet on, merged or alone") {
  for (int round = 0; round < 3000; round++) {
    Coalescer coalescer({true, true});
    std::vector<Packet> packets;
    for (size_t i = RandomBelow(60); i > 0; i--) packets.push_back(RandomPacket());
    size_t accepted = 0, passed = 0;
    for (Packet& bytes : packets) {
      IpPacket packet;
      if (ParseIp(bytes, false, &packet) != IpError::kNone) continue;
      coalescer.Add(packet);
      accepted++;
    }
    for (size_t i = 0; i < coalescer.item_count(); i++) passed += coalescer.Build(i).packets;
    CHECK(passed == accepted);
  }
}

}  // namespace hopsack::test
