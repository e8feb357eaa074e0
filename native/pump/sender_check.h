// What the datagram of a known host must pass before its inner packet may reach the TUN; the same for the batched pump
// and the naive loop. Nobody looks into a stranger's.
#pragma once

#include <optional>

#include "pump/counters.h"
#include "pump/thread_context.h"

namespace hopsack {

/**
 * Strips the expected header, parses the inner packet, and checks that it comes from an address of the host that sent
 * it (as WireGuard's allowed IPs do) and goes to one of this host: nobody is a router for others. nullopt: it may pass.
 */
inline std::optional<DropReason> CheckDatagram(const ThreadContext& context, const Fib& fib, const NextHop& sender,
                                               Bytes datagram, IpPacket* packet) {
  if (const auto refused = context.expected_header.Refuse(datagram)) return refused;
  const IpError error = ParseIp(datagram.subspan(context.expected_header.bytes), false, packet);
  if (error == IpError::kLengthMismatch) return DropReason::truncated;
  if (error != IpError::kNone || EndsBeyondIpv4(*packet)) return DropReason::bad_inner_packet;
  if (context.outer.is_ipip && packet->is_v6) return DropReason::bad_inner_packet;  // protocol 41 has those
  if (!context.check_inner_addresses) return std::nullopt;
  const NextHop* owner = fib.Lookup(*packet, packet->source());
  if (owner == nullptr || owner->endpoint.sin_addr.s_addr != sender.endpoint.sin_addr.s_addr) {
    return DropReason::inner_source;
  }
  if (!fib.IsOwn(*packet, packet->destination())) return DropReason::inner_destination;
  return std::nullopt;
}

/** Sends a known host's question to the control plane up. True: it was a question, and the datagram has been counted.
 */
inline bool TakePunt(const ThreadContext& context, const NextHop& sender, ConstBytes datagram, CounterBlock& counters) {
  if (context.punts == nullptr || !context.punts->Wants(datagram)) return false;
  if (const auto refused = context.punts->Offer(sender.endpoint.sin_addr.s_addr, datagram)) {
    counters.Drop(*refused);
  } else {
    counters.Add(Counter::punts);
  }
  return true;
}

}  // namespace hopsack
