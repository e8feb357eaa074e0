// IPv4 (RFC 791) and IPv6 (RFC 8200) headers, as far as a tunnel must understand them.
#pragma once

#include <netinet/in.h>

#include <optional>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace hopsack {

inline constexpr size_t kIpv4HeaderBytes = 20;
inline constexpr size_t kIpv6HeaderBytes = 40;

// IPv4 field offsets.
inline constexpr size_t kIpv4Tos = 1, kIpv4TotalLength = 2, kIpv4Id = 4, kIpv4Fragment = 6, kIpv4Ttl = 8,
                        kIpv4Protocol = 9, kIpv4Checksum = 10, kIpv4Source = 12, kIpv4Destination = 16;
inline constexpr uint16_t kIpv4DontFragment = 0x4000, kIpv4MoreFragments = 0x2000, kIpv4FragmentOffset = 0x1fff;

// IPv6 field offsets.
inline constexpr size_t kIpv6PayloadLength = 4, kIpv6NextHeader = 6, kIpv6HopLimit = 7, kIpv6Source = 8,
                        kIpv6Destination = 24;

using Ipv6Bits = unsigned __int128;

inline Ipv6Bits LoadIpv6(const uint8_t* p) {
  return (static_cast<Ipv6Bits>(__builtin_bswap64(LoadRaw64(p))) << 64) | __builtin_bswap64(LoadRaw64(p + 8));
}

/** A packet whose IP header has been checked against its length. Valid as long as the bytes under it. */
struct IpPacket {
  Bytes bytes;  // exactly the IP packet: trailing bytes are cut off
  bool is_v6;
  uint16_t header_bytes;  // IPv4 with options; IPv6 the fixed 40
  uint8_t protocol;       // IPv4 protocol, IPv6 next header

  uint8_t* data() const { return bytes.data(); }
  size_t size() const { return bytes.size(); }
  const uint8_t* source() const { return data() + (is_v6 ? kIpv6Source : kIpv4Source); }
  const uint8_t* destination() const { return data() + (is_v6 ? kIpv6Destination : kIpv4Destination); }
  size_t address_bytes() const { return is_v6 ? 16 : 4; }
  bool is_fragment() const {
    return !is_v6 && (LoadBe16(data() + kIpv4Fragment) & (kIpv4MoreFragments | kIpv4FragmentOffset)) != 0;
  }
  /** IPv4's TOS, IPv6's traffic class: DSCP and ECN. */
  uint8_t tos() const { return is_v6 ? static_cast<uint8_t>(LoadBe16(data()) >> 4) : data()[kIpv4Tos]; }
  /** Its two low bits (RFC 3168). */
  uint8_t ecn() const { return tos() & 3; }
};

/** Destinations that no single host has: 224.0.0.0/3 (multicast, reserved, broadcast) and ff00::/8. */
inline bool IsMulticastOrBroadcast(const IpPacket& packet) {
  return packet.is_v6 ? packet.destination()[0] == 0xff : packet.destination()[0] >= 0xe0;
}

/** Next headers behind which another follows (RFC 8200 4), ESP excepted: nobody sees what is behind it. */
inline bool IsIpv6Extension(uint8_t next_header) {
  return next_header == IPPROTO_HOPOPTS || next_header == IPPROTO_ROUTING || next_header == IPPROTO_FRAGMENT ||
         next_header == IPPROTO_DSTOPTS || next_header == IPPROTO_AH;
}

/** A fragment that ends where no packet can (RFC 791 3.2): whoever reassembles it is to be harmed. */
inline bool EndsBeyondIpv4(const IpPacket& packet) {
  if (packet.is_v6) return false;
  const size_t start = size_t{8} * (LoadBe16(packet.data() + kIpv4Fragment) & kIpv4FragmentOffset);
  return start + packet.size() > 65535;
}

enum class IpError { kNone, kTooShort, kBadVersion, kBadHeaderLength, kLengthMismatch };

/**
 * Checks version, header length and total length. With `trust_length` false the length fields rule and `data` may be
 * longer; with true (a super-packet, whose length field may not hold its length) `data` is the packet.
 */
inline IpError ParseIp(Bytes data, bool trust_length, IpPacket* packet) {
  if (data.empty()) return IpError::kTooShort;
  const uint8_t version = data[0] >> 4;
  if (version != 4 && version != 6) return IpError::kBadVersion;
  const bool is_v6 = version == 6;
  if (data.size() < (is_v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes)) return IpError::kTooShort;
  const size_t header_bytes = is_v6 ? kIpv6HeaderBytes : static_cast<size_t>(data[0] & 15) * 4;
  if (header_bytes < kIpv4HeaderBytes || header_bytes > data.size()) return IpError::kBadHeaderLength;
  if (!trust_length) {
    const size_t total = is_v6 ? kIpv6HeaderBytes + LoadBe16(data.data() + kIpv6PayloadLength)
                               : LoadBe16(data.data() + kIpv4TotalLength);
    if (total < header_bytes || total > data.size()) return IpError::kLengthMismatch;
    data = data.first(total);
  }
  *packet = {data, is_v6, static_cast<uint16_t>(header_bytes), data[is_v6 ? kIpv6NextHeader : kIpv4Protocol]};
  return IpError::kNone;
}

/** The length that the packet's header gives; 0 when `data` does not begin with an IP header. */
inline size_t IpTotalLength(ConstBytes data) {
  if (data.size() >= kIpv4HeaderBytes && data[0] >> 4 == 4) return LoadBe16(data.data() + kIpv4TotalLength);
  if (data.size() < kIpv6HeaderBytes || data[0] >> 4 != 6) return 0;
  return kIpv6HeaderBytes + LoadBe16(data.data() + kIpv6PayloadLength);
}

/** Sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1), folded: what is added to it cannot overflow. */
inline uint16_t PseudoHeaderSum(const IpPacket& packet, uint8_t protocol, uint16_t l4_bytes) {
  const uint64_t words = ChecksumWord(protocol) + ChecksumWord(l4_bytes);
  return ChecksumFold(ChecksumAdd(words, packet.source(), 2 * packet.address_bytes()));
}

/** Computes the IPv4 header checksum afresh. */
inline void StoreIpv4Checksum(uint8_t* header, size_t header_bytes) {
  StoreRaw16(header + kIpv4Checksum, 0);
  StoreRaw16(header + kIpv4Checksum, static_cast<uint16_t>(~ChecksumFold(ChecksumAdd(0, header, header_bytes))));
}

/** Changes the TOS and updates the IPv4 header checksum with it (RFC 1624): one that was wrong stays wrong. */
inline void ChangeIpv4Tos(uint8_t* header, uint8_t tos) {
  const uint16_t before = LoadRaw16(header);  // version, header length and TOS
  header[kIpv4Tos] = tos;
  const uint64_t sum = uint64_t{static_cast<uint16_t>(~LoadRaw16(header + kIpv4Checksum))} +
                       static_cast<uint16_t>(~before) + LoadRaw16(header);
  StoreRaw16(header + kIpv4Checksum, static_cast<uint16_t>(~ChecksumFold(sum)));
}

}  // namespace hopsack
