#include "pump/inbound.h"

#include <netinet/udp.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "pump/sender_check.h"
#include "pump/unfinished.h"

namespace hopsack {
namespace {

constexpr uint8_t kNotEct = 0, kEct1 = 1, kCongestionExperienced = 3;

}  // namespace

Inbound::Inbound(const ThreadContext& context)
    : context_(context),
      coalescer_({context.offloads.tun_gro, context.offloads.tun_gro && context.offloads.uso}),
      writer_(context.tun_fd, context.vnet_header, counters_, context_.shared),
      slots_(std::make_unique_for_overwrite<uint8_t[]>(kMaxReceives * kSlotBytes)) {}

void Inbound::Run() {
  int idle_rounds = 0;
  while (!context_.stop.signalled()) {
    if (RunOnce()) {
      idle_rounds = 0;
    } else if (idle_rounds++ < kYieldsBeforeSleep) {
      sched_yield();
    } else {
      idle_rounds = 0;
      counters_.Publish(context_.shared);
      context_.stop.WaitFor(context_.socket_fd, POLLIN);
    }
  }
}

bool Inbound::RunOnce() {
  counters_.Add(Counter::inbound_turns);
  const int received = ReceiveBatch();
  if (received <= 0) return false;
  fib_ = context_.fibs.Acquire(kInboundReader);
  for (int slot = 0; slot < received; slot++) HandleReceive(static_cast<size_t>(slot));
  context_.fibs.Release(kInboundReader);
  WriteAll();
  context_.shared.AddBatch(Direction::kInbound, counters_.count(Counter::udp_rx_datagrams));
  counters_.Publish(context_.shared);
  return true;
}

int Inbound::ReceiveBatch() {
  for (size_t i = 0; i < kMaxReceives; i++) {
    iovs_[i] = {&slots_[i * kSlotBytes], kSlotBytes};
    messages_[i].msg_hdr = {};
    messages_[i].msg_hdr.msg_name = &senders_[i];
    messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
    messages_[i].msg_hdr.msg_iov = &iovs_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = controls_[i].bytes;
    messages_[i].msg_hdr.msg_controllen = kControlBytes;
  }
  const int received = recvmmsg(context_.socket_fd, messages_.data(), kMaxReceives, MSG_DONTWAIT, nullptr);
  if (received > 0) counters_.Add(Counter::udp_rx_calls);
  return received;
}

/** One receive: a datagram, or several of one sender that UDP_GRO has joined. */
void Inbound::HandleReceive(size_t slot) {
  const msghdr& message = messages_[slot].msg_hdr;
  const Bytes received(&slots_[slot * kSlotBytes], messages_[slot].msg_len);
  const Bytes bytes = received.subspan(context_.outer.BytesBefore(received));
  counters_.Add(Counter::udp_rx_receives);
  counters_.Add(Counter::udp_rx_bytes, bytes.size());
  Receive receive = ReadControl(message, bytes.size());
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    counters_.Add(Counter::udp_rx_datagrams);
    return counters_.Drop(DropReason::truncated);
  }
  if (receive.segment_bytes < bytes.size() && IsOnePacket(bytes)) {
    receive.gso_size = std::exchange(receive.segment_bytes, bytes.size());
  }
  const NextHop* sender = fib_->FindPeer(senders_[slot].sin_addr.s_addr);
  if (sender == nullptr) return DropAll(receive, bytes.size());
  size_t start = 0;
  do {
    HandleDatagram(receive, *sender, bytes.subspan(start, std::min(receive.segment_bytes, bytes.size() - start)));
    start += receive.segment_bytes;
  } while (start < bytes.size());
  context_.shared.AddPeerBytes(Direction::kInbound, sender->peer, receive.accepted_bytes);
}

/** A stranger's datagrams, all at once: a flood of them costs little more than receiving it. */
void Inbound::DropAll(const Receive& receive, size_t bytes) {
  const size_t datagrams = std::max<size_t>((bytes + receive.segment_bytes - 1) / receive.segment_bytes, 1);
  counters_.Add(Counter::udp_rx_datagrams, datagrams);
  counters_.Drop(DropReason::unknown_sender, datagrams);
}

/**
 * Whether the inner packet fills the receive: then UDP_GRO's size is not that of datagrams but of the segments that a
 * network card would have cut this packet to, had there been one (pump/unfinished.h).
 */
bool Inbound::IsOnePacket(ConstBytes bytes) const {
  const size_t header_bytes = context_.expected_header.bytes;
  return bytes.size() > header_bytes && header_bytes + IpTotalLength(bytes.subspan(header_bytes)) == bytes.size();
}

Inbound::Receive Inbound::ReadControl(const msghdr& message, size_t bytes) {
  Receive receive = {std::max<size_t>(bytes, 1), 0, kNotEct, 0};
  auto* mutable_message = const_cast<msghdr*>(&message);  // CMSG_NXTHDR wants it so
  for (cmsghdr* c = CMSG_FIRSTHDR(mutable_message); c != nullptr; c = CMSG_NXTHDR(mutable_message, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      const uint32_t segment_bytes = LoadRaw32(CMSG_DATA(c));
      if (segment_bytes != 0) receive.segment_bytes = segment_bytes;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      receive.outer_ecn = *CMSG_DATA(c) & 3;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      const uint32_t overflow = LoadRaw32(CMSG_DATA(c));
      counters_.Drop(DropReason::receive_buffer_full, overflow - overflow_seen_);
      overflow_seen_ = overflow;
    }
  }
  return receive;
}

void Inbound::HandleDatagram(Receive& receive, const NextHop& sender, Bytes datagram) {
  counters_.Add(Counter::udp_rx_datagrams);
  if (TakePunt(context_, sender, datagram, counters_)) return;
  IpPacket packet;
  const auto refused = CheckDatagram(context_, *fib_, sender, datagram, &packet);
  if (refused.has_value()) return counters_.Drop(*refused);
  if (!ApplyEcn(packet, receive.outer_ecn)) return counters_.Drop(DropReason::ecn_illegal);
  receive.accepted_bytes += packet.size();
  if (coalescer_.full()) WriteAll();
  size_t gso_size = receive.gso_size;
  // Without UDP_GRO nobody says how long the segments are: as long as the device takes them.
  if (gso_size == 0) gso_size = SegmentPayload(packet, context_.inner_mtu_bytes);
  coalescer_.Add(packet, gso_size);
}

/** RFC 6040 4.2: carries congestion that the underlay marked into the inner packet; false when it must be dropped. */
bool Inbound::ApplyEcn(const IpPacket& packet, uint8_t outer_ecn) {
  const uint8_t inner = packet.ecn();
  if (outer_ecn == kNotEct || outer_ecn == inner) return true;
  if (inner == kNotEct) return outer_ecn != kCongestionExperienced;
  const bool mark = outer_ecn == kCongestionExperienced;
  const bool upgrade = outer_ecn == kEct1 && inner != kCongestionExperienced;
  if (!mark && !upgrade) return true;
  if (packet.is_v6) {
    packet.data()[1] = static_cast<uint8_t>((packet.data()[1] & 0xcf) | (outer_ecn << 4));
  } else {
    ChangeIpv4Tos(packet.data(), static_cast<uint8_t>((packet.data()[kIpv4Tos] & 0xfc) | outer_ecn));
  }
  return true;
}

void Inbound::WriteAll() {
  writer_.WriteAll(coalescer_);
  coalescer_.Clear();
}

}  // namespace hopsack
