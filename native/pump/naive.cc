#include "pump/naive.h"

#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "pump/sender_check.h"
#include "pump/unfinished.h"

namespace hopsack {

NaiveLoop::NaiveLoop(const ThreadContext& context)
    : context_(context),
      icmp_(context.tun_fd, context.vnet_header, counters_),
      writer_(context.tun_fd, context.vnet_header, counters_, context_.shared) {}

void NaiveLoop::Run() {
  while (!context_.stop.signalled()) {
    WaitForWork();
    counters_.Add(Counter::outbound_turns);
    counters_.Add(Counter::inbound_turns);
    bool moved = true;
    while (moved && !context_.stop.signalled()) {
      moved = TunToUdp();
      moved = UdpToTun() || moved;
      counters_.Publish(context_.shared);
    }
  }
}

void NaiveLoop::WaitForWork() {
  context_.stop.WaitForEither(context_.tun_fd, context_.socket_fd);
}

bool NaiveLoop::TunToUdp() {
  const ssize_t length = read(context_.tun_fd, buffer_.data() + kMaxEncapBytes, buffer_.size() - kMaxEncapBytes);
  if (length < 0) {
    if (errno == EBADFD) {
      context_.shared.Set(Gauge::device_lost, 1);
      context_.stop.WaitForStop();
    }
    return false;
  }
  counters_.Add(Counter::tun_rx_reads);
  counters_.Add(Counter::tun_rx_packets);
  counters_.Add(Counter::tun_rx_bytes, static_cast<uint64_t>(length));
  context_.shared.AddBatch(Direction::kOutbound, 1);
  IpPacket packet;
  const Bytes bytes(buffer_.data() + kMaxEncapBytes, static_cast<size_t>(length));
  if (ParseIp(bytes, false, &packet) != IpError::kNone) {
    counters_.Drop(DropReason::bad_packet);
  } else {
    SendPacket(packet);
  }
  return true;
}

void NaiveLoop::SendPacket(const IpPacket& packet) {
  const Fib* fib = context_.fibs.Acquire(kOutboundReader);
  if (const NextHop* hop = fib->Lookup(packet, packet.destination())) {
    uint8_t* start = packet.data() - hop->header_bytes;
    std::memcpy(start, hop->header.data(), hop->header_bytes);
    const size_t bytes = hop->header_bytes + packet.size();
    counters_.Add(Counter::udp_tx_calls);
    if (sendto(context_.socket_fd, start, bytes, 0, reinterpret_cast<const sockaddr*>(&hop->endpoint),
               sizeof hop->endpoint) < 0) {
      counters_.Drop(errno == EMSGSIZE ? DropReason::packet_too_big : DropReason::send_refused);
    } else {
      counters_.Add(Counter::udp_tx_sends);
      counters_.Add(Counter::udp_tx_datagrams);
      counters_.Add(Counter::udp_tx_bytes, bytes);
      context_.shared.AddPeerBytes(Direction::kOutbound, hop->peer, packet.size());
    }
  } else if (IsMulticastOrBroadcast(packet)) {
    counters_.Drop(DropReason::multicast);
  } else {
    counters_.Drop(DropReason::no_route);
    icmp_.Answer(IcmpError::kNetUnreachable, packet);
  }
  context_.fibs.Release(kOutboundReader);
}

bool NaiveLoop::UdpToTun() {
  sockaddr_in sender{};
  socklen_t sender_bytes = sizeof sender;
  const ssize_t length = recvfrom(context_.socket_fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT,
                                  reinterpret_cast<sockaddr*>(&sender), &sender_bytes);
  if (length < 0) return false;
  counters_.Add(Counter::udp_rx_calls);
  counters_.Add(Counter::udp_rx_receives);
  counters_.Add(Counter::udp_rx_datagrams);
  counters_.Add(Counter::udp_rx_bytes, static_cast<uint64_t>(length));
  context_.shared.AddBatch(Direction::kInbound, 1);
  WritePacket(sender.sin_addr.s_addr, Bytes(buffer_.data(), static_cast<size_t>(length)));
  return true;
}

void NaiveLoop::WritePacket(in_addr_t sender, Bytes datagram) {
  const Fib* fib = context_.fibs.Acquire(kOutboundReader);
  IpPacket packet;
  const bool is_accepted = Accepts(*fib, sender, datagram, &packet);
  context_.fibs.Release(kOutboundReader);
  if (is_accepted) writer_.Write(packet, SegmentPayload(packet, context_.inner_mtu_bytes));
}

/** False: the datagram has been counted. */
bool NaiveLoop::Accepts(const Fib& fib, in_addr_t address, Bytes datagram, IpPacket* packet) {
  const NextHop* sender = fib.FindPeer(address);
  if (sender == nullptr) {
    counters_.Drop(DropReason::unknown_sender);
    return false;
  }
  if (TakePunt(context_, *sender, datagram, counters_)) return false;
  if (const auto refused = CheckDatagram(context_, fib, *sender, datagram, packet)) {
    counters_.Drop(*refused);
    return false;
  }
  context_.shared.AddPeerBytes(Direction::kInbound, sender->peer, packet->size());
  return true;
}

}  // namespace hopsack
