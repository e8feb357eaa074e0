// Field offsets and flags of TCP (RFC 9293) and UDP (RFC 768) headers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hopsack {

inline constexpr size_t kTcpHeaderBytes = 20, kTcpMaxHeaderBytes = 60;
inline constexpr size_t kTcpSequence = 4, kTcpAck = 8, kTcpDataOffset = 12, kTcpFlags = 13, kTcpWindow = 14,
                        kTcpChecksum = 16, kTcpUrgent = 18;
inline constexpr uint8_t kTcpFin = 0x01, kTcpPsh = 0x08, kTcpAckFlag = 0x10, kTcpEce = 0x40, kTcpCwr = 0x80;

inline constexpr size_t kUdpHeaderBytes = 8;
inline constexpr size_t kUdpLength = 4, kUdpChecksum = 6;

inline size_t TcpHeaderLength(const uint8_t* tcp) {
  return static_cast<size_t>(tcp[kTcpDataOffset] >> 4) * 4;
}

}  // namespace hopsack
