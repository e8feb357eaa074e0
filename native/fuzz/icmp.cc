// [which error 1 | MTU 2 | packet]: an ICMP error goes only where RFC 1122 3.2.2 and RFC 4443 2.4 allow one, is
// well-formed, and is never longer than its limit.
#include "wire/icmp.h"

#include "fuzz/fuzz.h"

namespace {

using namespace hopsack;

constexpr size_t kIcmpHeaderBytes = 8;

bool IsIcmpError(const IpPacket& packet) {
  if (packet.size() <= packet.header_bytes) return false;
  const uint8_t type = packet.data()[packet.header_bytes];
  if (packet.protocol == IPPROTO_ICMPV6) return packet.is_v6 && (type < 128 || type == 137);
  return !packet.is_v6 && packet.protocol == IPPROTO_ICMP &&
         (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
}

bool IsForbidden(const IpPacket& packet) {
  const uint8_t source = packet.source()[0], destination = packet.destination()[0];
  if (packet.is_v6) return source == 0xff || destination == 0xff || IsIcmpError(packet);
  const bool is_later_fragment = (LoadBe16(packet.data() + kIpv4Fragment) & kIpv4FragmentOffset) != 0;
  return source == 0 || source == 127 || source >= 224 || destination >= 224 || is_later_fragment ||
         IsIcmpError(packet);
}

}  // namespace

FUZZ(input) {
  const auto error = static_cast<IcmpError>(input.Take<uint8_t>() % 3);
  const auto mtu = input.Take<uint16_t>();
  test::Packet bytes = input.TakeRest();
  IpPacket about;
  if (ParseIp(bytes, true, &about) != IpError::kNone) return;
  test::Packet out(kMaxIcmpErrorBytes);
  const size_t length = BuildIcmpError(error, about, mtu, out.data());
  if (length == 0) return;
  MUST(!IsForbidden(about));
  MUST(length <= (about.is_v6 ? kMaxIcmpErrorBytes : 576));
  MUST(std::all_of(out.begin() + static_cast<ptrdiff_t>(length), out.end(), [](uint8_t byte) { return byte == 0; }));
  out.resize(length);
  IpPacket answer;
  MUST(ParseIp(out, false, &answer) == IpError::kNone && answer.size() == length && answer.is_v6 == about.is_v6);
  MUST(std::memcmp(answer.source(), about.destination(), about.address_bytes()) == 0);
  MUST(std::memcmp(answer.destination(), about.source(), about.address_bytes()) == 0);

  const size_t icmp = answer.header_bytes;
  if (about.is_v6) {
    MUST(answer.protocol == IPPROTO_ICMPV6 && test::L4ChecksumIsRight(out, icmp, IPPROTO_ICMPV6));
  } else {
    MUST(answer.protocol == IPPROTO_ICMP && test::SlowSum(out.data(), icmp) == 0xffff);
    MUST(test::SlowSum(&out[icmp], length - icmp) == 0xffff);
  }
  if (error == IcmpError::kPacketTooBig) MUST(LoadBe16(&out[icmp + 6]) == mtu);
  const size_t quoted = length - icmp - kIcmpHeaderBytes;
  MUST(quoted <= about.size() && std::memcmp(&out[icmp + kIcmpHeaderBytes], about.data(), quoted) == 0);
  // Answers are not answered: two of us would go on for ever.
  test::Packet again(kMaxIcmpErrorBytes);
  MUST(BuildIcmpError(error, answer, mtu, again.data()) == 0);
}
