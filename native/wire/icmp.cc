#include "wire/icmp.h"

#include <algorithm>

namespace hopsack {
namespace {

constexpr size_t kIcmpHeaderBytes = 8;
constexpr size_t kMaxV4ErrorBytes = 576;
constexpr uint8_t kTtl = 64;

constexpr uint8_t kV4Unreachable = 3;
constexpr uint8_t kV6Unreachable = 1, kV6PacketTooBig = 2, kV6Query = 0x80, kV6Redirect = 137;
constexpr uint16_t kV6FragmentOffset = 0xfff8;

uint8_t V4Code(IcmpError error) {
  switch (error) {
    case IcmpError::kNetUnreachable:
      return 0;
    case IcmpError::kHostUnreachable:
      return 1;
    case IcmpError::kPacketTooBig:
      return 4;
  }
  return 0;
}

uint8_t V6Code(IcmpError error) {
  return error == IcmpError::kHostUnreachable ? 3 : 0;  // address unreachable; no route; too big
}

bool MayAnswerV4(const IpPacket& packet) {
  const uint32_t source = LoadBe32(packet.source()), destination = LoadBe32(packet.destination());
  const bool single_source = source >> 24 != 0 && source >> 24 != 127 && source >> 28 < 0xe;
  if (!single_source || destination >> 28 >= 0xe) return false;
  if ((LoadBe16(packet.data() + kIpv4Fragment) & kIpv4FragmentOffset) != 0) return false;
  if (packet.protocol != IPPROTO_ICMP) return true;
  // Queries may be answered, errors not: only echo, timestamp and the like are known to be no errors.
  const uint8_t type = packet.size() > packet.header_bytes ? packet.data()[packet.header_bytes] : 255;
  return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

size_t ExtensionBytes(uint8_t next_header, const uint8_t* extension) {
  if (next_header == IPPROTO_FRAGMENT) return 8;
  if (next_header == IPPROTO_AH) return (size_t{extension[1]} + 2) * 4;
  return (size_t{extension[1]} + 1) * 8;
}

/** Errors and redirects, behind any extension headers; also what is cut off before it can be told. */
bool MayBeIcmpV6Error(const IpPacket& packet) {
  uint8_t next_header = packet.protocol;
  size_t at = packet.header_bytes;
  while (IsIpv6Extension(next_header)) {
    if (at + 8 > packet.size()) return true;
    const uint8_t* extension = packet.data() + at;
    const bool is_later_fragment =
        next_header == IPPROTO_FRAGMENT && (LoadBe16(extension + 2) & kV6FragmentOffset) != 0;
    if (is_later_fragment) return extension[0] == IPPROTO_ICMPV6;
    at += ExtensionBytes(next_header, extension);
    next_header = extension[0];
  }
  if (next_header != IPPROTO_ICMPV6) return false;
  if (at >= packet.size()) return true;
  const uint8_t type = packet.data()[at];
  return (type & kV6Query) == 0 || type == kV6Redirect;
}

bool MayAnswerV6(const IpPacket& packet) {
  const uint8_t* source = packet.source();
  const bool unspecified = std::all_of(source, source + 16, [](uint8_t byte) { return byte == 0; });
  if (unspecified || source[0] == 0xff || packet.destination()[0] == 0xff) return false;
  return !MayBeIcmpV6Error(packet);
}

size_t BuildV4(IcmpError error, const IpPacket& packet, uint16_t mtu, uint8_t* out) {
  const size_t quoted = std::min(packet.size(), kMaxV4ErrorBytes - kIpv4HeaderBytes - kIcmpHeaderBytes);
  const size_t total = kIpv4HeaderBytes + kIcmpHeaderBytes + quoted;
  std::memset(out, 0, kIpv4HeaderBytes + kIcmpHeaderBytes);
  out[0] = 0x45;
  out[kIpv4Tos] = 0xc0;  // internetwork control (RFC 1812 4.3.2.5)
  StoreBe16(out + kIpv4TotalLength, static_cast<uint16_t>(total));
  out[kIpv4Ttl] = kTtl;
  out[kIpv4Protocol] = IPPROTO_ICMP;
  std::memcpy(out + kIpv4Source, packet.destination(), 4);
  std::memcpy(out + kIpv4Destination, packet.source(), 4);
  StoreIpv4Checksum(out, kIpv4HeaderBytes);

  uint8_t* icmp = out + kIpv4HeaderBytes;
  icmp[0] = kV4Unreachable;
  icmp[1] = V4Code(error);
  if (error == IcmpError::kPacketTooBig) StoreBe16(icmp + 6, mtu);
  std::memcpy(icmp + kIcmpHeaderBytes, packet.data(), quoted);
  StoreRaw16(icmp + 2, static_cast<uint16_t>(~ChecksumFold(ChecksumAdd(0, icmp, kIcmpHeaderBytes + quoted))));
  return total;
}

size_t BuildV6(IcmpError error, const IpPacket& packet, uint16_t mtu, uint8_t* out) {
  const size_t quoted = std::min(packet.size(), kMaxIcmpErrorBytes - kIpv6HeaderBytes - kIcmpHeaderBytes);
  const size_t icmp_bytes = kIcmpHeaderBytes + quoted;
  std::memset(out, 0, kIpv6HeaderBytes + kIcmpHeaderBytes);
  out[0] = 0x60;
  StoreBe16(out + kIpv6PayloadLength, static_cast<uint16_t>(icmp_bytes));
  out[kIpv6NextHeader] = IPPROTO_ICMPV6;
  out[kIpv6HopLimit] = kTtl;
  std::memcpy(out + kIpv6Source, packet.destination(), 16);
  std::memcpy(out + kIpv6Destination, packet.source(), 16);

  uint8_t* icmp = out + kIpv6HeaderBytes;
  icmp[0] = error == IcmpError::kPacketTooBig ? kV6PacketTooBig : kV6Unreachable;
  icmp[1] = V6Code(error);
  if (error == IcmpError::kPacketTooBig) StoreBe32(icmp + 4, mtu);
  std::memcpy(icmp + kIcmpHeaderBytes, packet.data(), quoted);
  uint64_t sum = ChecksumWord(IPPROTO_ICMPV6) + ChecksumWord(static_cast<uint16_t>(icmp_bytes));
  sum = ChecksumAdd(sum, out + kIpv6Source, 32);
  StoreRaw16(icmp + 2, static_cast<uint16_t>(~ChecksumFold(ChecksumAdd(sum, icmp, icmp_bytes))));
  return kIpv6HeaderBytes + icmp_bytes;
}

}  // namespace

size_t BuildIcmpError(IcmpError error, const IpPacket& packet, uint16_t mtu, uint8_t* out) {
  if (!(packet.is_v6 ? MayAnswerV6(packet) : MayAnswerV4(packet))) return 0;
  return packet.is_v6 ? BuildV6(error, packet, mtu, out) : BuildV4(error, packet, mtu, out);
}

}  // namespace hopsack
