// struct virtio_net_hdr, the ten bytes in front of every packet of a TUN opened with IFF_VNET_HDR (virtio 1.2, 5.1.6).
// Declared here because <linux/virtio_net.h> is not C++, and Debian 12's copy lacks the UDP segmentation values.
#pragma once

#include <cstdint>

namespace hopsack {

struct VirtioNetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;  // a hint only: on forwarded packets the kernel puts the length of the first buffer here
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
static_assert(sizeof(VirtioNetHeader) == 10);

inline constexpr uint8_t kVirtioNeedsChecksum = 1;

inline constexpr uint8_t kVirtioGsoNone = 0;
inline constexpr uint8_t kVirtioGsoTcpV4 = 1;
inline constexpr uint8_t kVirtioGsoTcpV6 = 4;
inline constexpr uint8_t kVirtioGsoUdp = 5;  // VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2
inline constexpr uint8_t kVirtioGsoEcn = 0x80;

}  // namespace hopsack
