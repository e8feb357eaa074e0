#include "test/packets.h"

namespace hopsack::test {
namespace {

uint32_t PseudoSum(const Packet& packet, bool is_v6, size_t l4_offset, uint8_t protocol) {
  const size_t addresses = is_v6 ? kIpv6Source : kIpv4Source;
  const uint16_t folded = SlowSum(packet.data() + addresses, is_v6 ? 32 : 8);
  return uint32_t{folded} + protocol + static_cast<uint32_t>(packet.size() - l4_offset);
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

bool ChecksumsAreRight(const Packet& packet) {
  const bool is_v6 = packet[0] >> 4 == 6;
  const size_t l4 = is_v6 ? 40 : static_cast<size_t>(packet[0] & 15) * 4;
  if (!is_v6 && SlowSum(packet.data(), l4) != 0xffff) return false;
  const uint8_t protocol = packet[is_v6 ? kIpv6NextHeader : kIpv4Protocol];
  return SlowSum(packet.data() + l4, packet.size() - l4, PseudoSum(packet, is_v6, l4, protocol)) == 0xffff;
}

Packet MakePacket(const Spec& spec) {
  const size_t ip_bytes = spec.is_v6 ? 40 : 20;
  const size_t l4_bytes = spec.is_tcp ? 20 + spec.tcp_option_bytes : 8;
  Packet packet(ip_bytes + l4_bytes + spec.payload_bytes);
  const uint8_t protocol = spec.is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
  uint8_t* ip = packet.data();
  if (spec.is_v6) {
    StoreBe32(ip, 0x60000000u | static_cast<uint32_t>(spec.tos << 20) | 0x12345);
    StoreBe16(ip + kIpv6PayloadLength, static_cast<uint16_t>(packet.size() - 40));
    ip[kIpv6NextHeader] = protocol;
    ip[kIpv6HopLimit] = spec.ttl;
    ip[kIpv6Source] = ip[kIpv6Destination] = 0xfd;
    ip[kIpv6Source + 15] = 1;
    ip[kIpv6Destination + 15] = 2;
  } else {
    ip[0] = 0x45;
    ip[kIpv4Tos] = spec.tos;
    StoreBe16(ip + kIpv4TotalLength, static_cast<uint16_t>(packet.size()));
    StoreBe16(ip + kIpv4Id, spec.ip_id);
    StoreBe16(ip + kIpv4Fragment, spec.dont_fragment ? kIpv4DontFragment : 0);
    ip[kIpv4Ttl] = spec.ttl;
    ip[kIpv4Protocol] = protocol;
    StoreBe32(ip + kIpv4Source, 0x0af40102);
    StoreBe32(ip + kIpv4Destination, 0x0af40202);
    StoreBe16(ip + kIpv4Checksum, static_cast<uint16_t>(~SlowSum(ip, 20)));
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
  } else {
    StoreBe16(l4 + kUdpLength, static_cast<uint16_t>(8 + spec.payload_bytes));
  }
  for (size_t i = 0; i < spec.payload_bytes; i++) l4[l4_bytes + i] = static_cast<uint8_t>(Random()());
  const size_t field = spec.is_tcp ? kTcpChecksum : kUdpChecksum;
  const uint32_t pseudo = PseudoSum(packet, spec.is_v6, ip_bytes, protocol);
  auto checksum = static_cast<uint16_t>(~SlowSum(l4, packet.size() - ip_bytes, pseudo));
  if (!spec.is_tcp && checksum == 0) checksum = 0xffff;
  StoreBe16(l4 + field, checksum);
  return packet;
}

IpPacket View(Packet& packet) {
  IpPacket view;
  if (ParseIp(packet, false, &view) != IpError::kNone) std::abort();
  return view;
}

}  // namespace hopsack::test
