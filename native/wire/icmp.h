// ICMP (RFC 792, 1191) and ICMPv6 (RFC 4443) errors about a packet that could not be carried.
#pragma once

#include "wire/ip.h"

namespace hopsack {

enum class IcmpError { kNetUnreachable, kHostUnreachable, kPacketTooBig };

/** Longest error: IPv6's minimum MTU; IPv4 errors end at 576 bytes (RFC 1812 4.3.2.3). */
inline constexpr size_t kMaxIcmpErrorBytes = 1280;

/**
 * Writes the error about `packet` (or its first bytes: `packet.bytes` may be a prefix of it) to `out`
 * (kMaxIcmpErrorBytes) and returns its length; 0 when RFC 1122 3.2.2 or RFC 4443 2.4 forbid an answer: to an ICMP
 * error or redirect, a later IPv4 fragment, a multicast or broadcast destination, or a source that names no single
 * host.
 *
 * The answer's source is the address that could not be reached. An address of this host would be dropped as martian
 * when it comes in from the TUN; this one is always accepted, with strict reverse path filtering too, since the route
 * that brought the packet to the TUN is the route back to its destination. `mtu` counts for kPacketTooBig only.
 */
size_t BuildIcmpError(IcmpError error, const IpPacket& packet, uint16_t mtu, uint8_t* out);

}  // namespace hopsack
