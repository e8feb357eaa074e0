// Cuts one TCP or UDP super-packet (TSO, USO) into the packets the wire carries: a finished header per segment, and the
// slice of the super-packet's payload that goes behind it. Copies no payload, allocates nothing.
#pragma once

#include "wire/ip.h"
#include "wire/l4.h"
#include "wire/virtio_net.h"

namespace hopsack {

/** IPv4 or IPv6 header with extensions or options, and TCP header with options. */
inline constexpr size_t kMaxInnerHeaderBytes = 60 + kTcpMaxHeaderBytes;

class Segmenter {
 public:
  /** Checks everything Stamp relies on; false when the offload header contradicts the packet. `packet` must stay valid.
   */
  bool Init(const IpPacket& packet, const VirtioNetHeader& offload);

  size_t segment_count() const { return segment_count_; }
  size_t header_bytes() const { return header_bytes_; }
  /** Bytes of every segment but the last, headers included. */
  size_t segment_bytes() const { return header_bytes_ + gso_size_; }

  /**
   * Writes the header of segment `index` to `header` (header_bytes() bytes), every checksum complete; returns the
   * payload behind it. TCP: FIN and PSH only on the last, CWR only on the first (RFC 3168 6.1.2); IPv4 IDs count up.
   */
  ConstBytes Stamp(size_t index, uint8_t* header) const;

 private:
  void StampIp(size_t index, size_t packet_bytes, uint8_t* header) const;
  void StampTcp(size_t index, uint8_t* tcp) const;

  IpPacket packet_;
  bool is_tcp_;
  size_t l4_offset_;
  size_t header_bytes_;
  size_t gso_size_;
  size_t segment_count_;
  uint64_t ip_base_sum_;  // folded: IPv4 header without length, ID and checksum
  uint64_t l4_base_sum_;  // folded: pseudo-header and L4 header without whatever differs from segment to segment
};

/**
 * Completes the L4 checksum that the kernel left to the device (VIRTIO_NET_HDR_F_NEEDS_CSUM on a plain packet).
 * False when the offload header points outside the packet.
 */
bool FinishChecksum(Bytes packet, const VirtioNetHeader& offload);

}  // namespace hopsack
