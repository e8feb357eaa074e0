#include "pump/coalescer.h"

#include <algorithm>

#include "pump/flow_hash.h"
#include "pump/unfinished.h"

namespace hopsack {
namespace {

/**
 * Whether nothing wrong would be mended by merging. A packet with an unfinished L4 checksum is finished by the kernel,
 * together with the super-packet; the IPv4 header is made anew.
 */
bool MayMerge(const IpPacket& packet, size_t l4_offset) {
  if (!packet.is_v6 && ChecksumFold(ChecksumAdd(0, packet.data(), packet.header_bytes)) != 0xffff) return false;
  return JudgeL4Checksum(packet, l4_offset) != L4Checksum::kWrong;
}

}  // namespace

Coalescer::Coalescer(Options options)
    : options_(options),
      packets_(std::make_unique<Entry[]>(kMaxPackets)),
      items_(std::make_unique<Item[]>(kMaxPackets)),
      iov_(std::make_unique<iovec[]>(IOV_MAX)) {}

void Coalescer::Clear() {
  packet_count_ = item_count_ = 0;
  generation_++;
}

void Coalescer::Add(const IpPacket& packet, size_t gso_size) {
  if (packet.is_fragment() || (packet.is_v6 && IsIpv6Extension(packet.protocol))) {
    generation_++;  // it may belong to any flow: nothing that follows may overtake it
  }
  if (!HasPorts(packet)) {
    NewItem(packet, gso_size);
    return;
  }
  Candidate candidate{};
  bool seals_flow = gso_size != 0;
  const bool mergeable = gso_size == 0 && Classify(packet, &candidate, &seals_flow);
  FlowSlot& slot = FindFlow(packet);
  Item* item = slot.generation == generation_ ? &items_[slot.item] : nullptr;
  if (item != nullptr && !SameFlow(*item, packet)) item = nullptr;  // two flows in one slot: the newer takes it

  if (mergeable && item != nullptr && TryAppend(*item, packet, candidate)) return;
  const uint32_t index = NewItem(packet, gso_size);
  if (mergeable) {
    OpenItem(index, packet, candidate);
    slot = {generation_, index};
  } else if (seals_flow && item != nullptr) {
    item->open = false;
  }
}

bool Coalescer::Classify(const IpPacket& packet, Candidate* candidate, bool* seals_flow) const {
  candidate->l4_offset = packet.header_bytes;
  candidate->is_tcp = packet.protocol == IPPROTO_TCP;
  *seals_flow = true;
  const bool has_ip_options = !packet.is_v6 && packet.header_bytes != kIpv4HeaderBytes;
  if (has_ip_options) return false;
  if (candidate->is_tcp) return ClassifyTcp(packet, candidate, seals_flow) && options_.tcp;
  return ClassifyUdp(packet, candidate) && options_.udp;
}

bool Coalescer::ClassifyTcp(const IpPacket& packet, Candidate* candidate, bool* seals_flow) const {
  const size_t l4_bytes = packet.size() - candidate->l4_offset;
  const uint8_t* tcp = packet.data() + candidate->l4_offset;
  if (l4_bytes < kTcpHeaderBytes) return false;
  const size_t tcp_header = TcpHeaderLength(tcp);
  if (tcp_header < kTcpHeaderBytes || tcp_header > l4_bytes) return false;
  const uint8_t flags = tcp[kTcpFlags];
  if ((flags & ~(kTcpPsh | kTcpEce)) != kTcpAckFlag) return false;  // SYN, FIN, RST, URG, CWR travel alone
  candidate->header_bytes = static_cast<uint16_t>(candidate->l4_offset + tcp_header);
  candidate->payload_bytes = static_cast<uint16_t>(packet.size() - candidate->header_bytes);
  candidate->is_last = (flags & kTcpPsh) != 0;
  *seals_flow = candidate->payload_bytes == 0 && flags != kTcpAckFlag;
  return candidate->payload_bytes != 0;  // a pure ACK passes, and the flow goes on behind it
}

bool Coalescer::ClassifyUdp(const IpPacket& packet, Candidate* candidate) const {
  const size_t l4_bytes = packet.size() - candidate->l4_offset;
  const uint8_t* udp = packet.data() + candidate->l4_offset;
  if (l4_bytes <= kUdpHeaderBytes || LoadBe16(udp + kUdpLength) != l4_bytes) return false;
  if (LoadRaw16(udp + kUdpChecksum) == 0) return false;  // the super-packet would give it a checksum
  candidate->header_bytes = static_cast<uint16_t>(candidate->l4_offset + kUdpHeaderBytes);
  candidate->payload_bytes = static_cast<uint16_t>(l4_bytes - kUdpHeaderBytes);
  candidate->is_last = false;
  return true;
}

bool Coalescer::TryAppend(Item& item, const IpPacket& packet, const Candidate& candidate) {
  if (!item.open) return false;
  if (!HeadersMatch(item, packet, candidate) || candidate.payload_bytes > item.gso_size ||
      item.bytes + candidate.payload_bytes > kMaxSuperPacketBytes ||
      (!item.is_tcp && item.packets == kMaxUdpSegments)) {
    return false;
  }
  if (!item.verified) {
    item.verified = MayMerge(packets_[item.first].packet, item.l4_offset);
    item.open = item.verified;
    if (!item.open) return false;
  }
  if (!MayMerge(packet, candidate.l4_offset)) return false;

  const uint32_t entry = NewEntry(packet);
  packets_[item.last].next = entry;
  item.last = entry;
  item.packets++;
  item.bytes += candidate.payload_bytes;
  item.next_sequence += candidate.payload_bytes;
  if (!packet.is_v6) item.next_ip_id = static_cast<uint16_t>(LoadBe16(packet.data() + kIpv4Id) + 1);
  item.open = !candidate.is_last && candidate.payload_bytes == item.gso_size;
  return true;
}

bool Coalescer::SameFlow(const Item& item, const IpPacket& packet) const {
  const IpPacket& first = packets_[item.first].packet;
  return first.is_v6 == packet.is_v6 && first.protocol == packet.protocol &&
         std::memcmp(first.source(), packet.source(), 2 * packet.address_bytes()) == 0 &&
         LoadRaw32(first.data() + item.l4_offset) == LoadRaw32(packet.data() + packet.header_bytes);
}

/** Everything that is equal in all segments of a super-packet, and the ID and sequence number that count up. */
bool Coalescer::HeadersMatch(const Item& item, const IpPacket& packet, const Candidate& candidate) const {
  if (item.header_bytes != candidate.header_bytes) return false;
  const uint8_t* a = packets_[item.first].packet.data();
  const uint8_t* b = packet.data();
  if (packet.is_v6) {
    if (LoadRaw32(a) != LoadRaw32(b) || a[kIpv6HopLimit] != b[kIpv6HopLimit]) return false;
  } else {
    if (LoadRaw16(a) != LoadRaw16(b) || a[kIpv4Ttl] != b[kIpv4Ttl]) return false;
    if (LoadRaw16(a + kIpv4Fragment) != LoadRaw16(b + kIpv4Fragment)) return false;
    // With DF the ID means nothing (RFC 6864), and some systems leave it constant: all of them or none.
    const uint16_t first_id = LoadBe16(a + kIpv4Id), id = LoadBe16(b + kIpv4Id);
    const bool has_counted_up = item.next_ip_id != static_cast<uint16_t>(first_id + 1);
    const bool is_constant =
        (LoadBe16(b + kIpv4Fragment) & kIpv4DontFragment) != 0 && id == first_id && !has_counted_up;
    const bool counts_up = id == item.next_ip_id && (has_counted_up || item.packets == 1);
    if (!is_constant && !counts_up) return false;
  }
  if (!item.is_tcp) return true;
  const uint8_t* tcp_a = a + item.l4_offset;
  const uint8_t* tcp_b = b + item.l4_offset;
  const uint8_t flag_difference = tcp_a[kTcpFlags] ^ tcp_b[kTcpFlags];
  return LoadBe32(tcp_b + kTcpSequence) == item.next_sequence &&
         LoadRaw32(tcp_a + kTcpAck) == LoadRaw32(tcp_b + kTcpAck) && tcp_a[kTcpDataOffset] == tcp_b[kTcpDataOffset] &&
         (flag_difference & ~kTcpPsh) == 0 && LoadRaw16(tcp_a + kTcpWindow) == LoadRaw16(tcp_b + kTcpWindow) &&
         std::memcmp(tcp_a + kTcpUrgent, tcp_b + kTcpUrgent, size_t{item.header_bytes} - item.l4_offset - kTcpUrgent) ==
             0;
}

uint32_t Coalescer::NewEntry(const IpPacket& packet) {
  packets_[packet_count_] = {packet, kNone};
  return static_cast<uint32_t>(packet_count_++);
}

uint32_t Coalescer::NewItem(const IpPacket& packet, size_t gso_size) {
  const uint32_t entry = NewEntry(packet);
  Item& item = items_[item_count_];
  item = {};
  item.first = item.last = entry;
  item.packets = 1;
  item.bytes = static_cast<uint32_t>(packet.size());
  item.whole_gso_size = static_cast<uint16_t>(gso_size);
  return static_cast<uint32_t>(item_count_++);
}

void Coalescer::OpenItem(uint32_t index, const IpPacket& packet, const Candidate& candidate) {
  Item& item = items_[index];
  item.l4_offset = candidate.l4_offset;
  item.header_bytes = candidate.header_bytes;
  item.gso_size = candidate.payload_bytes;
  item.is_tcp = candidate.is_tcp;
  item.open = !candidate.is_last;
  if (!packet.is_v6) item.next_ip_id = static_cast<uint16_t>(LoadBe16(packet.data() + kIpv4Id) + 1);
  if (candidate.is_tcp) {
    item.next_sequence = LoadBe32(packet.data() + candidate.l4_offset + kTcpSequence) + candidate.payload_bytes;
  }
}

Coalescer::FlowSlot& Coalescer::FindFlow(const IpPacket& packet) {
  return flows_[FlowHash(packet) % kFlowSlots];
}

Coalescer::Write Coalescer::Build(size_t index) {
  const Item& item = items_[index];
  offload_header_ = {};
  iov_[0] = {&offload_header_, sizeof offload_header_};
  if (item.packets == 1) return BuildSingle(item);
  FillHeader(item);
  iov_[1] = {header_.data(), item.header_bytes};
  size_t count = 2;
  for (uint32_t i = item.first; i != kNone; i = packets_[i].next) {
    const Bytes payload = packets_[i].packet.bytes.subspan(item.header_bytes);
    iov_[count++] = {payload.data(), payload.size()};
  }
  return {iov_.get(), count, item.bytes, item.packets, false};
}

/** A packet as it came in; a super-packet when it came in as one, and the kernel takes such. */
Coalescer::Write Coalescer::BuildSingle(const Item& item) {
  const IpPacket& packet = packets_[item.first].packet;
  Write write = {iov_.get(), 2, packet.size(), 1, false};
  iov_[1] = {packet.data(), packet.size()};
  if (item.whole_gso_size == 0 || !(packet.protocol == IPPROTO_TCP ? options_.tcp : options_.udp)) return write;
  offload_header_ = OffloadOf(packet, item.whole_gso_size);
  if (offload_header_.gso_type == kVirtioGsoNone) return write;
  const size_t payload_bytes = packet.size() - offload_header_.hdr_len;
  write.packets = (payload_bytes + item.whole_gso_size - 1) / item.whole_gso_size;
  write.is_whole = true;
  return write;
}

/** The header of the super-packet, and what the kernel must know to cut it again. */
void Coalescer::FillHeader(const Item& item) {
  const IpPacket& first = packets_[item.first].packet;
  const IpPacket& last = packets_[item.last].packet;
  const auto l4_bytes = static_cast<uint16_t>(item.bytes - item.l4_offset);
  uint8_t* ip = header_.data();
  uint8_t* l4 = ip + item.l4_offset;
  std::memcpy(ip, first.data(), item.header_bytes);
  if (first.is_v6) {
    StoreBe16(ip + kIpv6PayloadLength, static_cast<uint16_t>(item.bytes - kIpv6HeaderBytes));
  } else {
    StoreBe16(ip + kIpv4TotalLength, static_cast<uint16_t>(item.bytes));
    StoreIpv4Checksum(ip, item.l4_offset);
  }
  // The kernel completes the checksum; the field holds the sum of the pseudo-header, not complemented.
  StoreRaw16(l4 + (item.is_tcp ? kTcpChecksum : kUdpChecksum), PseudoHeaderSum(first, first.protocol, l4_bytes));
  if (item.is_tcp) {
    l4[kTcpFlags] = last.data()[item.l4_offset + kTcpFlags];
  } else {
    StoreBe16(l4 + kUdpLength, l4_bytes);
  }
  const uint8_t tcp_type = first.is_v6 ? kVirtioGsoTcpV6 : kVirtioGsoTcpV4;
  offload_header_ = {kVirtioNeedsChecksum, item.is_tcp ? tcp_type : kVirtioGsoUdp,
                     item.header_bytes,    item.gso_size,
                     item.l4_offset,       static_cast<uint16_t>(item.is_tcp ? kTcpChecksum : kUdpChecksum)};
}

}  // namespace hopsack
