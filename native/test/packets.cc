#include "test/packets.h"

namespace hopsack::test {
namespace {

/** nullptr: neither TCP nor UDP, or no room for the header. */
uint8_t* ChecksumField(Packet& packet) {
  const size_t l4 = L4Offset(packet);
  const bool is_tcp = ProtocolOf(packet) == IPPROTO_TCP;
  if (!is_tcp && ProtocolOf(packet) != IPPROTO_UDP) return nullptr;
  if (packet.size() < l4 + (is_tcp ? kTcpHeaderBytes : kUdpHeaderBytes)) return nullptr;
  return &packet[l4 + (is_tcp ? kTcpChecksum : kUdpChecksum)];
}

void MendIp(Packet& packet) {
  uint8_t* ip = packet.data();
  if (ip[0] >> 4 == 6) return StoreBe16(ip + kIpv6PayloadLength, static_cast<uint16_t>(packet.size() - 40));
  StoreBe16(ip + kIpv4TotalLength, static_cast<uint16_t>(packet.size()));
  StoreBe16(ip + kIpv4Checksum, 0);
  StoreBe16(ip + kIpv4Checksum, static_cast<uint16_t>(~SlowSum(ip, L4Offset(packet))));
}

}  // namespace

uint16_t SlowSum(const uint8_t* data, size_t length, uint32_t initial) {
  uint32_t sum = initial;
  for (size_t i = 0; i < length; i++) {
    sum += static_cast<uint32_t>(i % 2 == 0 ? data[i] << 8 : data[i]);
    if (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

size_t L4Offset(const Packet& packet) {
  return packet[0] >> 4 == 6 ? 40 : static_cast<size_t>(packet[0] & 15) * 4;
}

uint8_t ProtocolOf(const Packet& packet) {
  return packet[packet[0] >> 4 == 6 ? kIpv6NextHeader : kIpv4Protocol];
}

uint16_t PseudoSum(const Packet& packet, size_t l4_offset, uint8_t protocol) {
  const bool is_v6 = packet[0] >> 4 == 6;
  const uint16_t addresses = SlowSum(&packet[is_v6 ? kIpv6Source : kIpv4Source], is_v6 ? 32 : 8);
  return SlowSum(nullptr, 0, uint32_t{addresses} + protocol + static_cast<uint32_t>(packet.size() - l4_offset));
}

bool L4ChecksumIsRight(const Packet& packet, size_t l4_offset, uint8_t protocol) {
  const uint16_t pseudo = PseudoSum(packet, l4_offset, protocol);
  return SlowSum(packet.data() + l4_offset, packet.size() - l4_offset, pseudo) == 0xffff;
}

bool ChecksumsAreRight(const Packet& packet) {
  const size_t l4 = L4Offset(packet);
  if (packet[0] >> 4 == 4 && SlowSum(packet.data(), l4) != 0xffff) return false;
  return L4ChecksumIsRight(packet, l4, ProtocolOf(packet));
}

Packet MakePacket(const Spec& spec) {
  const size_t ip_bytes = spec.is_v6 ? 40 : 20;
  const size_t l4_bytes = spec.is_tcp ? 20 + spec.tcp_option_bytes : 8;
  Packet packet(ip_bytes + l4_bytes + spec.payload_bytes);
  const uint8_t protocol = spec.is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
  uint8_t* ip = packet.data();
  if (spec.is_v6) {
    StoreBe32(ip, 0x60000000u | static_cast<uint32_t>(spec.tos << 20) | 0x12345);
    ip[kIpv6NextHeader] = protocol;
    ip[kIpv6HopLimit] = spec.ttl;
    ip[kIpv6Source] = ip[kIpv6Destination] = 0xfd;
    ip[kIpv6Source + 15] = 1;
    ip[kIpv6Destination + 15] = 2;
  } else {
    ip[0] = 0x45;
    ip[kIpv4Tos] = spec.tos;
    StoreBe16(ip + kIpv4Id, spec.ip_id);
    StoreBe16(ip + kIpv4Fragment, spec.dont_fragment ? kIpv4DontFragment : 0);
    ip[kIpv4Ttl] = spec.ttl;
    ip[kIpv4Protocol] = protocol;
    StoreBe32(ip + kIpv4Source, 0x0af40102);
    StoreBe32(ip + kIpv4Destination, 0x0af40202);
  }
  uint8_t* l4 = ip + ip_bytes;
  StoreBe16(l4, spec.source_port);
  StoreBe16(l4 + 2, 5001);
  if (spec.is_tcp) {
    StoreBe32(l4 + kTcpSequence, spec.sequence);
    StoreBe32(l4 + kTcpAck, spec.ack);
    l4[kTcpDataOffset] = static_cast<uint8_t>(l4_bytes / 4 << 4);
    l4[kTcpFlags] = spec.flags;
    StoreBe16(l4 + kTcpWindow, spec.window);
    for (size_t i = 20; i < l4_bytes; i++) l4[i] = 1;  // no-operation options
  }
  for (size_t i = 0; i < spec.payload_bytes; i++) l4[l4_bytes + i] = static_cast<uint8_t>(Random()());
  Mend(packet);
  return packet;
}

void Mend(Packet& packet) {
  MendIp(packet);
  uint8_t* field = ChecksumField(packet);
  if (field == nullptr || View(packet).is_fragment()) return;
  const size_t l4 = L4Offset(packet);
  const bool is_udp = ProtocolOf(packet) == IPPROTO_UDP;
  if (is_udp) StoreBe16(&packet[l4 + kUdpLength], static_cast<uint16_t>(packet.size() - l4));
  StoreBe16(field, 0);
  const uint16_t pseudo = PseudoSum(packet, l4, ProtocolOf(packet));
  auto checksum = static_cast<uint16_t>(~SlowSum(packet.data() + l4, packet.size() - l4, pseudo));
  if (is_udp && checksum == 0) checksum = 0xffff;
  StoreBe16(field, checksum);
}

void Unfinish(Packet& packet) {
  uint8_t* field = ChecksumField(packet);
  if (field != nullptr) StoreBe16(field, PseudoSum(packet, L4Offset(packet), ProtocolOf(packet)));
}

IpPacket View(Packet& packet) {
  IpPacket view;
  if (ParseIp(packet, false, &view) != IpError::kNone) std::abort();
  return view;
}

}  // namespace hopsack::test
