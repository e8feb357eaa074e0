#include "pump/segmenter.h"

#include <algorithm>

namespace hopsack {

bool Segmenter::Init(const IpPacket& packet, const VirtioNetHeader& offload) {
  const uint8_t type = offload.gso_type & static_cast<uint8_t>(~kVirtioGsoEcn);
  is_tcp_ = type == kVirtioGsoTcpV4 || type == kVirtioGsoTcpV6;
  if (!is_tcp_ && type != kVirtioGsoUdp) return false;
  if (is_tcp_ && (type == kVirtioGsoTcpV6) != packet.is_v6) return false;
  if (!is_tcp_ && (offload.gso_type & kVirtioGsoEcn) != 0) return false;
  if (offload.gso_size == 0 || (offload.flags & kVirtioNeedsChecksum) == 0) return false;
  if (offload.csum_offset != (is_tcp_ ? kTcpChecksum : kUdpChecksum)) return false;

  // hdr_len is only a hint (see VirtioNetHeader): the L4 header itself says how long it is.
  l4_offset_ = offload.csum_start;
  if (l4_offset_ < packet.header_bytes || (!packet.is_v6 && l4_offset_ != packet.header_bytes)) return false;
  if (packet.is_fragment()) return false;
  // Behind IPv6 extension headers it is the last of them that names the protocol; the kernel that wrote both knows it.
  const bool has_extensions = l4_offset_ != packet.header_bytes;
  if (!has_extensions && packet.protocol != (is_tcp_ ? IPPROTO_TCP : IPPROTO_UDP)) return false;
  const uint8_t* l4 = packet.data() + l4_offset_;
  if (l4_offset_ + (is_tcp_ ? kTcpHeaderBytes : kUdpHeaderBytes) > packet.size()) return false;
  const size_t l4_bytes = is_tcp_ ? TcpHeaderLength(l4) : kUdpHeaderBytes;
  header_bytes_ = l4_offset_ + l4_bytes;
  if (l4_bytes < kUdpHeaderBytes || (is_tcp_ && l4_bytes < kTcpHeaderBytes)) return false;
  if (header_bytes_ > packet.size() || header_bytes_ > kMaxInnerHeaderBytes) return false;

  packet_ = packet;
  gso_size_ = offload.gso_size;
  const size_t payload_bytes = packet.size() - header_bytes_;
  segment_count_ = std::max<size_t>(1, (payload_bytes + gso_size_ - 1) / gso_size_);

  ip_base_sum_ = 0;
  if (!packet.is_v6) {
    ip_base_sum_ = ChecksumAdd(0, packet.data(), kIpv4TotalLength);
    ip_base_sum_ = ChecksumAdd(ip_base_sum_, packet.data() + kIpv4Fragment, kIpv4Checksum - kIpv4Fragment);
    ip_base_sum_ = ChecksumAdd(ip_base_sum_, packet.data() + kIpv4Source, l4_offset_ - kIpv4Source);
    ip_base_sum_ = ChecksumFold(ip_base_sum_);
  }
  // Without the length, which Stamp adds.
  l4_base_sum_ = PseudoHeaderSum(packet, is_tcp_ ? IPPROTO_TCP : IPPROTO_UDP, 0);
  l4_base_sum_ = ChecksumAdd(l4_base_sum_, l4, 4);  // ports
  if (is_tcp_) {
    l4_base_sum_ = ChecksumAdd(l4_base_sum_, l4 + kTcpAck, kTcpDataOffset - kTcpAck);
    l4_base_sum_ = ChecksumAdd(l4_base_sum_, l4 + kTcpWindow, kTcpChecksum - kTcpWindow);
    l4_base_sum_ = ChecksumAdd(l4_base_sum_, l4 + kTcpUrgent, l4_bytes - kTcpUrgent);
  }
  l4_base_sum_ = ChecksumFold(l4_base_sum_);
  return true;
}

ConstBytes Segmenter::Stamp(size_t index, uint8_t* header) const {
  const size_t start = header_bytes_ + index * gso_size_;
  const ConstBytes payload = packet_.bytes.subspan(start, std::min(gso_size_, packet_.size() - start));
  const size_t packet_bytes = header_bytes_ + payload.size();
  const size_t l4_bytes = packet_bytes - l4_offset_;
  uint8_t* l4 = header + l4_offset_;
  std::memcpy(header, packet_.data(), header_bytes_);
  StampIp(index, packet_bytes, header);

  uint64_t sum = l4_base_sum_ + ChecksumWord(static_cast<uint16_t>(l4_bytes));
  if (is_tcp_) {
    StampTcp(index, l4);
    sum += uint64_t{LoadRaw32(l4 + kTcpSequence)} + LoadRaw16(l4 + kTcpDataOffset);
  } else {
    StoreBe16(l4 + kUdpLength, static_cast<uint16_t>(l4_bytes));
    sum += LoadRaw16(l4 + kUdpLength);
  }
  uint16_t checksum = static_cast<uint16_t>(~ChecksumFold(ChecksumAdd(sum, payload.data(), payload.size())));
  if (!is_tcp_ && checksum == 0) checksum = 0xffff;  // RFC 768: zero means "no checksum"
  StoreRaw16(l4 + (is_tcp_ ? kTcpChecksum : kUdpChecksum), checksum);
  return payload;
}

void Segmenter::StampIp(size_t index, size_t packet_bytes, uint8_t* header) const {
  if (packet_.is_v6) {
    StoreBe16(header + kIpv6PayloadLength, static_cast<uint16_t>(packet_bytes - kIpv6HeaderBytes));
    return;
  }
  StoreBe16(header + kIpv4TotalLength, static_cast<uint16_t>(packet_bytes));
  StoreBe16(header + kIpv4Id, static_cast<uint16_t>(LoadBe16(header + kIpv4Id) + index));
  const uint64_t sum = ip_base_sum_ + LoadRaw16(header + kIpv4TotalLength) + LoadRaw16(header + kIpv4Id);
  StoreRaw16(header + kIpv4Checksum, static_cast<uint16_t>(~ChecksumFold(sum)));
}

void Segmenter::StampTcp(size_t index, uint8_t* tcp) const {
  StoreBe32(tcp + kTcpSequence, LoadBe32(tcp + kTcpSequence) + static_cast<uint32_t>(index * gso_size_));
  uint8_t flags = tcp[kTcpFlags];
  if (index != 0) flags &= static_cast<uint8_t>(~kTcpCwr);
  if (index + 1 != segment_count_) flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  tcp[kTcpFlags] = flags;
}

bool FinishChecksum(Bytes packet, const VirtioNetHeader& offload) {
  const size_t field = size_t{offload.csum_start} + offload.csum_offset;
  if (offload.csum_start < kIpv4HeaderBytes || field + 2 > packet.size()) return false;
  // The field holds the pseudo-header's sum already.
  const uint64_t sum = ChecksumAdd(0, packet.data() + offload.csum_start, packet.size() - offload.csum_start);
  uint16_t checksum = static_cast<uint16_t>(~ChecksumFold(sum));
  if (offload.csum_offset == kUdpChecksum && checksum == 0) checksum = 0xffff;
  StoreRaw16(packet.data() + field, checksum);
  return true;
}

}  // namespace hopsack
