#include "wire/icmp.h"

#include <array>

#include "test/packets.h"

namespace hopsack::test {
namespace {

using Answer = std::vector<uint8_t>;

Answer Build(IcmpError error, Packet& about, uint16_t mtu = 0) {
  Answer out(kMaxIcmpErrorBytes);
  out.resize(BuildIcmpError(error, View(about), mtu, out.data()));
  return out;
}

bool IcmpV4IsRight(const Answer& answer) {
  return SlowSum(answer.data(), 20) == 0xffff && SlowSum(answer.data() + 20, answer.size() - 20) == 0xffff;
}

bool IcmpV6IsRight(const Answer& answer) {
  const uint32_t pseudo =
      SlowSum(&answer[kIpv6Source], 32) + IPPROTO_ICMPV6 + static_cast<uint32_t>(answer.size() - 40);
  return SlowSum(answer.data() + 40, answer.size() - 40, pseudo) == 0xffff;
}

}  // namespace

TEST(
    "icmp: net unreachable goes back to the sender, from the address that could not be reached, and quotes the "
    "packet") {
  Packet about = MakePacket({});
  const Answer answer = Build(IcmpError::kNetUnreachable, about);
  CHECK(answer.size() == 28 + about.size());
  CHECK(IcmpV4IsRight(answer));
  CHECK(answer[kIpv4Protocol] == IPPROTO_ICMP && answer[20] == 3 && answer[21] == 0);
  CHECK(LoadBe32(&answer[kIpv4Source]) == LoadBe32(&about[kIpv4Destination]));
  CHECK(LoadBe32(&answer[kIpv4Destination]) == LoadBe32(&about[kIpv4Source]));
  CHECK(std::equal(about.begin(), about.end(), answer.begin() + 28));
}

TEST("icmp: fragmentation needed carries the MTU and ends at 576 bytes") {
  Spec spec;
  spec.payload_bytes = 1400;
  Packet about = MakePacket(spec);
  const Answer answer = Build(IcmpError::kPacketTooBig, about, 1372);
  CHECK(answer.size() == 576 && IcmpV4IsRight(answer));
  CHECK(answer[20] == 3 && answer[21] == 4 && LoadBe16(&answer[26]) == 1372);
}

TEST("icmp: ICMPv6 errors have their own types and codes and end at 1280 bytes") {
  Spec spec;
  spec.is_v6 = true;
  spec.payload_bytes = 1400;
  Packet about = MakePacket(spec);
  const Answer too_big = Build(IcmpError::kPacketTooBig, about, 1452);
  CHECK(too_big.size() == 1280 && IcmpV6IsRight(too_big));
  CHECK(too_big[40] == 2 && too_big[41] == 0 && LoadBe32(&too_big[44]) == 1452);
  const Answer no_route = Build(IcmpError::kNetUnreachable, about);
  CHECK(no_route[40] == 1 && no_route[41] == 0 && IcmpV6IsRight(no_route));
  const Answer no_host = Build(IcmpError::kHostUnreachable, about);
  CHECK(no_host[40] == 1 && no_host[41] == 3);
}

TEST("icmp: no answer to errors, later fragments, multicast, broadcast, or a source that is no host") {
  const auto silent = [](auto change) {
    Packet about = MakePacket({});
    change(about);
    return Build(IcmpError::kNetUnreachable, about).empty();
  };
  CHECK(!silent([](Packet&) {}));
  CHECK(silent([](Packet& p) { StoreBe16(&p[kIpv4Fragment], 1); }));
  CHECK(!silent([](Packet& p) { StoreBe16(&p[kIpv4Fragment], kIpv4MoreFragments); }));
  CHECK(silent([](Packet& p) { StoreBe32(&p[kIpv4Destination], 0xe0000001); }));
  CHECK(silent([](Packet& p) { StoreBe32(&p[kIpv4Destination], 0xffffffff); }));
  CHECK(silent([](Packet& p) { StoreBe32(&p[kIpv4Source], 0); }));
  CHECK(silent([](Packet& p) { StoreBe32(&p[kIpv4Source], 0x7f000001); }));
  CHECK(silent([](Packet& p) { StoreBe32(&p[kIpv4Source], 0xe0000001); }));
  for (const int type : {3, 4, 5, 11, 12}) {
    CHECK(silent([type](Packet& p) { p[kIpv4Protocol] = IPPROTO_ICMP, p[20] = static_cast<uint8_t>(type); }));
  }
  CHECK(!silent([](Packet& p) { p[kIpv4Protocol] = IPPROTO_ICMP, p[20] = 8; }));

  const auto silent_v6 = [](auto change) {
    Spec spec;
    spec.is_v6 = true;
    Packet about = MakePacket(spec);
    change(about);
    return Build(IcmpError::kNetUnreachable, about).empty();
  };
  CHECK(!silent_v6([](Packet&) {}));
  CHECK(silent_v6([](Packet& p) { p[kIpv6Destination] = 0xff; }));
  CHECK(silent_v6([](Packet& p) { p[kIpv6NextHeader] = IPPROTO_ICMPV6, p[40] = 1; }));
  CHECK(!silent_v6([](Packet& p) { p[kIpv6NextHeader] = IPPROTO_ICMPV6, p[40] = 128; }));
  CHECK(silent_v6([](Packet& p) { p[kIpv6NextHeader] = IPPROTO_ICMPV6, p[40] = 137; }));  // redirect
  CHECK(silent_v6([](Packet& p) { std::fill_n(p.begin() + kIpv6Source, 16, uint8_t{0}); }));
}

TEST("icmp: an ICMPv6 error behind extension headers is not answered, a query is") {
  const auto silent = [](uint8_t type, const std::vector<Packet>& extensions) {
    Spec spec;
    spec.is_v6 = true;
    Packet about = MakePacket(spec);
    about.resize(40);
    size_t next = kIpv6NextHeader;
    for (const Packet& extension : extensions) {
      about[next] = extension[0];
      next = about.size();
      about.insert(about.end(), extension.begin() + 1, extension.end());
    }
    about[next] = IPPROTO_ICMPV6;
    about.insert(about.end(), {type, 0, 0, 0, 0, 0, 0, 0});
    StoreBe16(&about[kIpv6PayloadLength], static_cast<uint16_t>(about.size() - 40));
    return Build(IcmpError::kNetUnreachable, about).empty();
  };
  // Number of the extension, then its bytes: next header (filled in above), length, and the rest.
  const Packet hop_by_hop = {IPPROTO_HOPOPTS, 0, 0, 1, 4, 0, 0, 0, 0};
  const Packet options = {IPPROTO_DSTOPTS, 0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Packet routing = {IPPROTO_ROUTING, 0, 0, 0, 0, 0, 0, 0, 0};
  const Packet first_fragment = {IPPROTO_FRAGMENT, 0, 0, 0, 1, 0, 0, 0, 7};
  const Packet authentication = {IPPROTO_AH, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  for (const auto& extensions : std::vector<std::vector<Packet>>{
           {hop_by_hop}, {options}, {routing}, {first_fragment}, {authentication}, {hop_by_hop, options, routing}}) {
    CHECK(silent(1, extensions));
    CHECK(!silent(128, extensions));
  }
  const Packet cut_short = {IPPROTO_DSTOPTS, 0, 255, 1, 4, 0, 0, 0, 0};
  CHECK(silent(128, {cut_short}));
  const Packet later_fragment = {IPPROTO_FRAGMENT, 0, 0, 1, 0, 0, 0, 0, 7};
  CHECK(silent(128, {later_fragment}));
}

}  // namespace hopsack::test
