// Packets that a kernel sent and nobody finished. A VXLAN or FOU device leaves the inner checksum (and the cutting of
// up to 64 KB) to the network card; veth and virtio have none, and hand the packet over as it is. The checksum field
// then holds the bare sum of the pseudo-header, and the whole packet lies in one datagram.
#pragma once

#include "wire/ip.h"
#include "wire/l4.h"
#include "wire/virtio_net.h"

namespace hopsack {

enum class L4Checksum { kRight, kUnfinished, kWrong };

/** Judges the TCP or UDP checksum of an unfragmented packet. kUnfinished costs no look at the payload. */
L4Checksum JudgeL4Checksum(const IpPacket& packet, size_t l4_offset);

/**
 * What the kernel must be told to finish the packet: nothing (all zero), the checksum, or, when the payload is longer
 * than `gso_size` (0: not known, or not needed), to cut it as well. A packet with a finished checksum is left alone.
 */
VirtioNetHeader OffloadOf(const IpPacket& packet, size_t gso_size);

size_t SegmentPayloadOfLong(const IpPacket& packet, size_t mtu_bytes);

/** The payload of each segment when a TCP packet is cut to packets of `mtu_bytes`; 0: it needs no cutting, or has none.
 */
inline size_t SegmentPayload(const IpPacket& packet, size_t mtu_bytes) {
  return packet.size() <= mtu_bytes ? 0 : SegmentPayloadOfLong(packet, mtu_bytes);
}

}  // namespace hopsack
