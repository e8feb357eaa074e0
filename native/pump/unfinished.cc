#include "pump/unfinished.h"

namespace hopsack {
namespace {

/** The checksum's offset in the L4 header; 0 when the packet has no whole TCP or UDP header behind its IP header. */
size_t ChecksumOffset(const IpPacket& packet) {
  const size_t l4_bytes = packet.size() - packet.header_bytes;
  if (packet.is_fragment()) return 0;
  if (packet.protocol == IPPROTO_TCP && l4_bytes >= kTcpHeaderBytes) return kTcpChecksum;
  return packet.protocol == IPPROTO_UDP && l4_bytes >= kUdpHeaderBytes ? kUdpChecksum : 0;
}

uint16_t PseudoHeaderSum(const IpPacket& packet, size_t l4_bytes) {
  return hopsack::PseudoHeaderSum(packet, packet.protocol, static_cast<uint16_t>(l4_bytes));
}

/** L4 header with options; more than the packet when the header says so. */
size_t L4HeaderBytes(const IpPacket& packet) {
  return packet.protocol == IPPROTO_TCP ? TcpHeaderLength(packet.data() + packet.header_bytes) : kUdpHeaderBytes;
}

uint8_t GsoType(const IpPacket& packet) {
  if (packet.protocol == IPPROTO_UDP) return kVirtioGsoUdp;
  const uint8_t type = packet.is_v6 ? kVirtioGsoTcpV6 : kVirtioGsoTcpV4;
  const bool has_cwr = (packet.data()[packet.header_bytes + kTcpFlags] & kTcpCwr) != 0;
  return has_cwr ? static_cast<uint8_t>(type | kVirtioGsoEcn) : type;
}

}  // namespace

L4Checksum JudgeL4Checksum(const IpPacket& packet, size_t l4_offset) {
  const size_t l4_bytes = packet.size() - l4_offset;
  const uint8_t* l4 = packet.data() + l4_offset;
  const uint16_t pseudo = PseudoHeaderSum(packet, l4_bytes);
  if (LoadRaw16(l4 + (packet.protocol == IPPROTO_TCP ? kTcpChecksum : kUdpChecksum)) == pseudo) {
    return L4Checksum::kUnfinished;
  }
  return ChecksumFold(ChecksumAdd(pseudo, l4, l4_bytes)) == 0xffff ? L4Checksum::kRight : L4Checksum::kWrong;
}

VirtioNetHeader OffloadOf(const IpPacket& packet, size_t gso_size) {
  const size_t checksum = ChecksumOffset(packet);
  if (checksum == 0) return {};
  const size_t l4_bytes = packet.size() - packet.header_bytes;
  const uint16_t field = LoadRaw16(packet.data() + packet.header_bytes + checksum);
  if (field != PseudoHeaderSum(packet, l4_bytes)) return {};
  VirtioNetHeader offload = {kVirtioNeedsChecksum,           kVirtioGsoNone, 0, 0, packet.header_bytes,
                             static_cast<uint16_t>(checksum)};
  const size_t header_bytes = packet.header_bytes + L4HeaderBytes(packet);
  if (gso_size == 0 || header_bytes + gso_size >= packet.size()) return offload;
  offload.gso_type = GsoType(packet);
  offload.gso_size = static_cast<uint16_t>(gso_size);
  offload.hdr_len = static_cast<uint16_t>(header_bytes);
  return offload;
}

size_t SegmentPayloadOfLong(const IpPacket& packet, size_t mtu_bytes) {
  if (packet.protocol != IPPROTO_TCP || ChecksumOffset(packet) == 0) return 0;
  const size_t header_bytes = packet.header_bytes + L4HeaderBytes(packet);
  return header_bytes < mtu_bytes ? mtu_bytes - header_bytes : 0;
}

}  // namespace hopsack
