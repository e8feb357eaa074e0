// [options 1] ([deeds 1 | length 2 | packet] or [deeds 1 | ID step 1 | sequence step 1 | place 1 | change 1])*: packets
// as they come out of datagrams; the second form is one that follows the one before, nearly. Merged ones are what the
// kernel's own GRO merges, cut again they are what they were, and nothing is overtaken that must not be.
#include "pump/coalescer.h"

#include <algorithm>

#include "fuzz/fuzz.h"
#include "pump/flow_hash.h"
#include "test/super_packets.h"

namespace {

using namespace hopsack;
using test::Packet;

constexpr uint8_t kMend = 1, kUnfinish = 2, kWhole = 4, kFollow = 8;  // deeds
constexpr uint8_t kTcpSealing = 0x80 | 0x20 | 0x04 | 0x02 | 0x01;     // CWR, URG, RST, SYN, FIN

struct Added {
  Packet bytes;
  IpPacket view;
  uint16_t gso_size;  // of a packet that came in whole
};

/** The packet that a sender sends next, but for what the input says. */
Packet Following(const Packet& before, fuzz::Input& input) {
  Packet packet = before;
  const size_t l4 = test::L4Offset(packet);
  const auto id_step = input.Take<uint8_t>(), sequence_step = input.Take<uint8_t>();
  if (packet[0] >> 4 == 4) StoreBe16(&packet[kIpv4Id], static_cast<uint16_t>(LoadBe16(&packet[kIpv4Id]) + id_step % 3));
  if (test::ProtocolOf(packet) == IPPROTO_TCP && packet.size() >= l4 + kTcpHeaderBytes) {
    uint8_t* sequence = &packet[l4 + kTcpSequence];
    const size_t payload = packet.size() - std::min(packet.size(), l4 + TcpHeaderLength(&packet[l4]));
    StoreBe32(sequence, static_cast<uint32_t>(LoadBe32(sequence) + payload + sequence_step % 3));
  }
  const size_t place = input.Take<uint8_t>() % packet.size();
  packet[place] ^= input.Take<uint8_t>();
  return packet;
}

std::vector<Added> ReadPackets(fuzz::Input& input) {
  std::vector<Added> packets;
  while (!input.empty() && packets.size() < Coalescer::kMaxPackets) {
    const auto deeds = input.Take<uint8_t>();
    const bool follows = (deeds & kFollow) != 0 && !packets.empty();
    Added added{follows ? Following(packets.back().bytes, input) : input.TakeBytes(input.Take<uint16_t>()), {}, 0};
    IpPacket whole;
    if (ParseIp(added.bytes, true, &whole) != IpError::kNone) continue;
    if ((deeds & kMend) != 0) test::Mend(added.bytes);
    if ((deeds & kUnfinish) != 0 && !whole.is_fragment()) test::Unfinish(added.bytes);
    if (ParseIp(added.bytes, false, &added.view) != IpError::kNone) continue;
    if ((deeds & kWhole) != 0) added.gso_size = input.Take<uint16_t>();
    packets.push_back(std::move(added));
  }
  return packets;
}

Packet BytesOf(const IpPacket& packet) {
  return {packet.bytes.begin(), packet.bytes.end()};
}

size_t HeaderBytes(const IpPacket& packet) {
  const size_t l4 = packet.header_bytes;
  return l4 + (packet.protocol == IPPROTO_TCP ? TcpHeaderLength(packet.data() + l4) : kUdpHeaderBytes);
}

/** inet_gro_receive and ipv6_gro_receive: what must be equal, or count up. */
void CheckIpRun(const std::vector<IpPacket>& run) {
  const uint8_t* first = run[0].data();
  bool counts_up = true, is_constant = !run[0].is_v6 && (LoadBe16(first + kIpv4Fragment) & kIpv4DontFragment) != 0;
  for (size_t i = 0; i < run.size(); i++) {
    const uint8_t* ip = run[i].data();
    MUST(run[i].is_v6 == run[0].is_v6 && run[i].protocol == run[0].protocol && !run[i].is_fragment());
    MUST(std::memcmp(run[i].source(), run[0].source(), 2 * run[0].address_bytes()) == 0);
    if (run[i].is_v6) {
      MUST(LoadBe32(ip) == LoadBe32(first) && ip[kIpv6HopLimit] == first[kIpv6HopLimit]);
      continue;
    }
    MUST(LoadBe16(ip) == LoadBe16(first) && ip[0] == 0x45 && ip[kIpv4Ttl] == first[kIpv4Ttl]);
    MUST(LoadBe16(ip + kIpv4Fragment) == LoadBe16(first + kIpv4Fragment));
    MUST(test::SlowSum(ip, kIpv4HeaderBytes) == 0xffff);
    counts_up = counts_up && LoadBe16(ip + kIpv4Id) == static_cast<uint16_t>(LoadBe16(first + kIpv4Id) + i);
    is_constant = is_constant && LoadBe16(ip + kIpv4Id) == LoadBe16(first + kIpv4Id);
  }
  MUST(counts_up || is_constant);
}

/** tcp_gro_receive. */
void CheckTcp(const IpPacket& packet, const IpPacket& first, size_t payload_before, bool is_last) {
  const uint8_t *tcp = packet.data() + packet.header_bytes, *tcp_first = first.data() + first.header_bytes;
  MUST((tcp[kTcpFlags] & (kTcpSealing | kTcpAckFlag)) == kTcpAckFlag && (is_last || (tcp[kTcpFlags] & kTcpPsh) == 0));
  MUST(((tcp[kTcpFlags] ^ tcp_first[kTcpFlags]) & ~kTcpPsh) == 0);
  MUST(LoadBe32(tcp + kTcpSequence) == static_cast<uint32_t>(LoadBe32(tcp_first + kTcpSequence) + payload_before));
  MUST(LoadBe32(tcp + kTcpAck) == LoadBe32(tcp_first + kTcpAck));
  const size_t options = HeaderBytes(packet) - packet.header_bytes - kTcpHeaderBytes;
  MUST(std::memcmp(tcp + kTcpHeaderBytes, tcp_first + kTcpHeaderBytes, options) == 0);
}

/** udp_gro_receive. */
void CheckUdp(const IpPacket& packet, size_t count) {
  const uint8_t* udp = packet.data() + packet.header_bytes;
  MUST(LoadBe16(udp + kUdpLength) == packet.size() - packet.header_bytes);
  MUST(LoadBe16(udp + kUdpChecksum) != 0 && count <= 64);
}

void CheckRun(const std::vector<IpPacket>& run) {
  CheckIpRun(run);
  const size_t header_bytes = HeaderBytes(run[0]), full = run[0].size() - header_bytes;
  size_t payload = 0;
  for (const IpPacket& packet : run) {
    const bool is_last = &packet == &run.back();
    MUST(LoadRaw32(packet.data() + packet.header_bytes) == LoadRaw32(run[0].data() + run[0].header_bytes));
    MUST(HeaderBytes(packet) == header_bytes && packet.size() > header_bytes);
    const size_t bytes = packet.size() - header_bytes;
    MUST(is_last ? bytes <= full : bytes == full);
    const Packet copy = BytesOf(packet);
    const uint16_t field =
        LoadBe16(&copy[packet.header_bytes + (packet.protocol == IPPROTO_TCP ? kTcpChecksum : kUdpChecksum)]);
    MUST(field == test::PseudoSum(copy, packet.header_bytes, packet.protocol) ||
         test::L4ChecksumIsRight(copy, packet.header_bytes, packet.protocol));
    if (packet.protocol == IPPROTO_TCP) CheckTcp(packet, run[0], payload, is_last);
    if (packet.protocol == IPPROTO_UDP) CheckUdp(packet, run.size());
    payload += bytes;
  }
}

/** The super-packet is well-formed, and a kernel that cuts it gets the packets again, checksums finished. */
void CheckSuperPacket(const std::vector<IpPacket>& run, const test::Written& super) {
  const uint8_t protocol = run[0].protocol;
  const size_t l4 = run[0].header_bytes;
  const VirtioNetHeader& offload = super.offload;
  Packet bytes = super.bytes;
  IpPacket view;
  MUST(ParseIp(bytes, false, &view) == IpError::kNone && view.size() == bytes.size());
  MUST(view.is_v6 || test::SlowSum(bytes.data(), l4) == 0xffff);
  MUST(offload.flags == kVirtioNeedsChecksum && offload.csum_start == l4 && offload.hdr_len == HeaderBytes(run[0]));
  MUST(LoadBe16(&bytes[l4 + offload.csum_offset]) == test::PseudoSum(bytes, l4, protocol));
  const std::vector<Packet> segments = test::Cut(bytes, offload);
  MUST(segments.size() == run.size());
  for (size_t i = 0; i < run.size(); i++) {
    // With a constant ID the segments count up; and -0 is +0 in a checksum.
    Packet wanted = BytesOf(run[i]);
    if (!view.is_v6) StoreBe16(&wanted[kIpv4Id], LoadBe16(&segments[i][kIpv4Id]));
    test::Mend(wanted);
    MUST(segments[i] == wanted);
  }
}

bool IsPureAck(const IpPacket& packet) {
  return packet.protocol == IPPROTO_TCP && packet.size() >= size_t{packet.header_bytes} + kTcpHeaderBytes &&
         HeaderBytes(packet) == packet.size() && packet.data()[packet.header_bytes + kTcpFlags] == kTcpAckFlag;
}

/** Whether the second may reach the TUN before the first, which came in before it. */
bool MayOvertake(const IpPacket& before, const IpPacket& packet) {
  if (before.is_fragment() || (before.is_v6 && IsIpv6Extension(before.protocol))) return false;
  if (!HasPorts(before) || IsPureAck(before)) return true;
  const bool same_flow =
      before.is_v6 == packet.is_v6 && before.protocol == packet.protocol &&
      std::memcmp(before.source(), packet.source(), 2 * packet.address_bytes()) == 0 &&
      LoadRaw32(before.data() + before.header_bytes) == LoadRaw32(packet.data() + packet.header_bytes);
  return !same_flow;
}

}  // namespace

FUZZ(input) {
  const auto options = input.Take<uint8_t>();
  std::vector<Added> packets = ReadPackets(input);
  std::vector<Packet> before;
  Coalescer coalescer({(options & 1) == 0, (options & 2) == 0});
  for (const Added& added : packets) {
    before.push_back(added.bytes);
    coalescer.Add(added.view, added.gso_size);
  }
  std::vector<const uint8_t*> order;  // in which the packets come out
  for (size_t item = 0; item < coalescer.item_count(); item++) {
    std::vector<IpPacket> run;
    size_t whole_gso_size = 0;
    coalescer.ForEachPacket(item, [&](const IpPacket& packet, size_t gso_size) {
      order.push_back(packet.data());
      run.push_back(packet);
      whole_gso_size = gso_size;
    });
    const Coalescer::Write write = coalescer.Build(item);
    const test::Written written = test::Gather(write);
    MUST(write.iov_count <= IOV_MAX && write.bytes == written.bytes.size() && write.bytes <= 0xffff);
    if (run.size() == 1) {
      MUST(written.bytes == BytesOf(run[0]) && write.is_whole == (written.offload.gso_type != kVirtioGsoNone));
      MUST(!write.is_whole || (whole_gso_size != 0 && written.offload.gso_size == whole_gso_size));
      continue;
    }
    MUST(whole_gso_size == 0 && write.packets == run.size() && !write.is_whole);
    CheckRun(run);
    CheckSuperPacket(run, written);
  }
  // Every packet once, and unchanged where it lies.
  MUST(order.size() == packets.size());
  std::vector<size_t> position;
  for (size_t i = 0; i < packets.size(); i++) {
    MUST(packets[i].bytes == before[i]);
    const auto at = std::find(order.begin(), order.end(), packets[i].view.data());
    MUST(at != order.end());
    position.push_back(static_cast<size_t>(at - order.begin()));
  }
  for (size_t i = 0; i < packets.size(); i++) {
    for (size_t k = 0; k < i; k++) MUST(position[k] < position[i] || MayOvertake(packets[k].view, packets[i].view));
  }
}
