// What a datagram must pass before its inner packet may reach the TUN; the same for the batched pump and the naive
// loop.
#pragma once

#include <optional>

#include "pump/counters.h"
#include "pump/thread_context.h"

namespace hopsack {

/** An inner packet and who sent it. */
struct Arrival {
  IpPacket packet;
  const NextHop* peer;
};

/**
 * Strips the expected header, parses the inner packet and checks that it comes from a host that owns its source
 * address (as WireGuard's allowed IPs do). nullopt: it may pass.
 */
inline std::optional<DropReason> CheckDatagram(const ThreadContext& context, const Fib& fib, in_addr_t sender,
                                               Bytes datagram, Arrival* arrival) {
  if (const auto refused = context.expected_header.Refuse(datagram)) return refused;
  const IpError error = ParseIp(datagram.subspan(context.expected_header.bytes), false, &arrival->packet);
  if (error == IpError::kLengthMismatch) return DropReason::truncated;
  if (error != IpError::kNone) return DropReason::bad_inner_packet;
  arrival->peer = fib.Lookup(arrival->packet, arrival->packet.source());
  if (arrival->peer != nullptr && arrival->peer->endpoint.sin_addr.s_addr == sender) return std::nullopt;
  arrival->peer = fib.FindPeer(sender);
  if (arrival->peer == nullptr) return DropReason::unknown_sender;
  if (context.check_inner_source) return DropReason::inner_source;
  return std::nullopt;
}

/** Sends a known host's question to the control plane up. True: it was a question, and the datagram has been counted.
 */
inline bool TakePunt(const ThreadContext& context, const Fib& fib, in_addr_t sender, ConstBytes datagram,
                     CounterBlock& counters) {
  if (context.punts == nullptr || !context.punts->Wants(datagram)) return false;
  const bool is_known = fib.FindPeer(sender) != nullptr;
  const auto refused = is_known ? context.punts->Offer(sender, datagram) : DropReason::unknown_sender;
  if (refused.has_value()) {
    counters.Drop(*refused);
  } else {
    counters.Add(Counter::punts);
  }
  return true;
}

}  // namespace hopsack
