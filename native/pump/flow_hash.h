// One number for all packets of an inner flow: addresses, protocol and, where every packet of the flow has them, ports.
#pragma once

#include "wire/ip.h"

namespace hopsack {

/** Whether the packet shows TCP or UDP ports: a fragment does not, and neither does the first one for the others' sake.
 */
inline bool HasPorts(const IpPacket& packet) {
  return (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP) && !packet.is_fragment() &&
         packet.size() >= packet.header_bytes + 4u;
}

inline uint32_t FlowHash(const IpPacket& packet) {
  uint64_t hash = packet.protocol;
  const uint8_t* addresses = packet.source();
  for (size_t at = 0; at < 2 * packet.address_bytes(); at += 8) {
    hash = (hash ^ LoadRaw64(addresses + at)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  if (HasPorts(packet)) hash = (hash ^ LoadRaw32(packet.data() + packet.header_bytes)) * 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(hash >> 32);
}

}  // namespace hopsack
