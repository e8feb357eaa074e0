#include "pump/outbound.h"

#include <sched.h>
#include <unistd.h>

namespace hopsack {

Outbound::Outbound(const ThreadContext& context)
    : context_(context),
      icmp_(context.tun_fd, context.vnet_header, counters_),
      queue_({context.lanes, context.offloads.udp_gso, context.overhead_bytes, context.outer}, context.stop, icmp_,
             counters_, context_.shared),
      slots_(std::make_unique_for_overwrite<uint8_t[]>(kMaxBatchReads * kSlotBytes)),
      segment_headers_(std::make_unique_for_overwrite<uint8_t[]>(kMaxBatchSegments * kSegmentHeaderBytes)) {}

void Outbound::Run() {
  int idle_rounds = 0;
  while (!context_.stop.signalled()) {
    if (RunOnce()) {
      idle_rounds = 0;
    } else if (device_lost_) {
      context_.stop.WaitForStop();
    } else if (idle_rounds++ < kYieldsBeforeSleep) {
      sched_yield();
    } else {
      idle_rounds = 0;
      context_.stop.WaitFor(context_.tun_fd, POLLIN);
    }
  }
}

bool Outbound::RunOnce() {
  counters_.Add(Counter::outbound_turns);
  fib_ = context_.fibs.Acquire(kOutboundReader);
  size_t reads = 0;
  ReadResult result = ReadResult::kPacket;
  while (reads < kMaxBatchReads && queue_.queued_bytes() < kMaxBatchBytes) {
    uint8_t* slot = &slots_[reads * kSlotBytes];
    size_t packet_bytes = 0;
    result = ReadPacket(slot, &packet_bytes);
    if (result != ReadResult::kPacket) break;
    reads++;
    HandlePacket(slot, packet_bytes);
  }
  Flush();
  context_.fibs.Release(kOutboundReader);
  if (result == ReadResult::kLost) ReportLostDevice();
  context_.shared.AddBatch(Direction::kOutbound, counters_.count(Counter::tun_rx_packets));
  counters_.Publish(context_.shared);
  return reads > 0;
}

Outbound::ReadResult Outbound::ReadPacket(uint8_t* slot, size_t* packet_bytes) {
  const ssize_t length = read(context_.tun_fd, slot + kHeadroomBytes, kSlotBytes - kHeadroomBytes);
  if (length < 0) return errno == EBADFD ? ReadResult::kLost : ReadResult::kEmpty;
  counters_.Add(Counter::tun_rx_reads);
  *packet_bytes = static_cast<size_t>(length) - std::min<size_t>(static_cast<size_t>(length), sizeof(VirtioNetHeader));
  return ReadResult::kPacket;
}

void Outbound::HandlePacket(uint8_t* slot, size_t packet_bytes) {
  VirtioNetHeader offload;
  std::memcpy(&offload, slot + kHeadroomBytes, sizeof offload);
  const bool is_super = offload.gso_type != kVirtioGsoNone;
  IpPacket packet;
  const Bytes bytes(slot + kHeadroomBytes + sizeof offload, packet_bytes);
  if (ParseIp(bytes, is_super, &packet) != IpError::kNone) return counters_.Drop(DropReason::bad_packet);
  const NextHop* hop = fib_->Lookup(packet, packet.destination());
  if (hop == nullptr) {
    RejectUnroutable(packet, offload);
  } else if (is_super) {
    SendSegments(*hop, packet, offload);
  } else {
    SendPlain(*hop, packet, offload);
  }
}

void Outbound::RejectUnroutable(const IpPacket& packet, const VirtioNetHeader& offload) {
  counters_.Add(Counter::tun_rx_packets);
  counters_.Add(Counter::tun_rx_bytes, packet.size());
  if (IsMulticastOrBroadcast(packet)) return counters_.Drop(DropReason::multicast);
  counters_.Drop(DropReason::no_route);
  // The answer quotes the packet: it has to be one that the sender's kernel recognizes, checksum included.
  if ((offload.flags & kVirtioNeedsChecksum) != 0) FinishChecksum(packet.bytes, offload);
  icmp_.Answer(IcmpError::kNetUnreachable, packet);
}

void Outbound::SendPlain(const NextHop& hop, const IpPacket& packet, const VirtioNetHeader& offload) {
  counters_.Add(Counter::tun_rx_packets);
  counters_.Add(Counter::tun_rx_bytes, packet.size());
  if ((offload.flags & kVirtioNeedsChecksum) != 0 && !FinishChecksum(packet.bytes, offload)) {
    return counters_.Drop(DropReason::bad_packet);
  }
  // The virtio_net_hdr has been read: its place and the headroom before it take the encapsulation.
  uint8_t* start = packet.data() - hop.header_bytes;
  std::memcpy(start, hop.header.data(), hop.header_bytes);
  if (!queue_.HasRoom()) Flush();
  queue_.Add(hop, queue_.OuterOf(packet), Bytes(start, hop.header_bytes + packet.size()), {});
}

void Outbound::SendSegments(const NextHop& hop, const IpPacket& packet, const VirtioNetHeader& offload) {
  Segmenter segmenter;
  if (!segmenter.Init(packet, offload)) return counters_.Drop(DropReason::bad_super_packet);
  counters_.Add(Counter::tun_rx_super_packets);
  counters_.Add(Counter::tun_rx_packets, segmenter.segment_count());
  const OuterHeader outer = queue_.OuterOf(packet);
  for (size_t i = 0; i < segmenter.segment_count(); i++) {
    if (!queue_.HasRoom() || segment_headers_used_ == kMaxBatchSegments) Flush();
    uint8_t* head = &segment_headers_[segment_headers_used_++ * kSegmentHeaderBytes];
    std::memcpy(head, hop.header.data(), hop.header_bytes);
    const ConstBytes payload = segmenter.Stamp(i, head + hop.header_bytes);
    const Bytes header(head, hop.header_bytes + segmenter.header_bytes());
    counters_.Add(Counter::tun_rx_bytes, segmenter.header_bytes() + payload.size());
    queue_.Add(hop, outer, header, payload);
  }
}

void Outbound::Flush() {
  queue_.Flush();
  segment_headers_used_ = 0;
}

/** Somebody deleted the device: nothing will ever come again. The control plane sees the flag and opens a new pump. */
void Outbound::ReportLostDevice() {
  device_lost_ = true;
  context_.shared.Set(Gauge::device_lost, 1);
}

}  // namespace hopsack
