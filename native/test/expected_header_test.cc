// The header in front of inner packets, with VXLAN's as the example.
#include "test/packets.h"
#include "test/vxlan_header.h"

namespace hopsack::test {
namespace {

constexpr size_t kBytes = kVxlanHeaderBytes;

Packet Datagram(bool is_v6) {
  Spec spec;
  spec.is_v6 = is_v6;
  Packet datagram = {8, 0, 0, 0, 0, 0, 1, 0};
  datagram.insert(datagram.end(), kVxlanMac.begin(), kVxlanMac.end());
  datagram.insert(datagram.end(), {2, 9, 9, 9, 9, 9});
  datagram.push_back(is_v6 ? 0x86 : 8);
  datagram.push_back(is_v6 ? 0xdd : 0);
  const Packet inner = MakePacket(spec);
  datagram.insert(datagram.end(), inner.begin(), inner.end());
  return datagram;
}

bool IsRefused(size_t at, uint8_t value, DropReason reason, bool is_v6 = false) {
  Packet datagram = Datagram(is_v6);
  datagram[at] = value;
  return VxlanHeader().Refuse(datagram) == reason;
}

}  // namespace

TEST("expected header: a well-formed one passes, whatever stands in the bits that are not asked for") {
  for (const bool is_v6 : {false, true}) {
    Packet datagram = Datagram(is_v6);
    CHECK(!VxlanHeader().Refuse(datagram));
    datagram[0] = 0xff;  // reserved flags
    datagram[1] = datagram[2] = datagram[3] = datagram[7] = 0xff;
    datagram[14] = 0x77;  // source MAC
    CHECK(!VxlanHeader().Refuse(datagram));
  }
}

TEST("expected header: each wrong field has its own reason") {
  CHECK(IsRefused(0, 0, DropReason::no_vni_flag));
  CHECK(IsRefused(0, 0xf7, DropReason::no_vni_flag));
  for (const size_t at : {4, 5, 6}) CHECK(IsRefused(at, 0x20, DropReason::wrong_vni));
  CHECK(IsRefused(8, 3, DropReason::inner_multicast));
  CHECK(IsRefused(8, 0xff, DropReason::inner_multicast));
  for (const size_t at : {8, 9, 10, 11, 12, 13}) CHECK(IsRefused(at, 0x70, DropReason::wrong_inner_mac));
  CHECK(IsRefused(21, 6, DropReason::wrong_ether_type));  // ARP
}

TEST("expected header: the Ethernet type must agree with the version of the inner packet") {
  CHECK(IsRefused(kBytes, 0x60, DropReason::wrong_ether_type, false));
  CHECK(IsRefused(kBytes, 0x45, DropReason::wrong_ether_type, true));
  // No IP version at all: both types are asked for, and none can be both.
  CHECK(IsRefused(kBytes, 0x00, DropReason::wrong_ether_type, false));
  CHECK(IsRefused(kBytes, 0xf0, DropReason::wrong_ether_type, true));
}

TEST("expected header: a datagram too short for it and an inner header is truncated, and nothing behind it is read") {
  const Packet whole = Datagram(false);
  for (size_t bytes = 0; bytes < kBytes + kIpv4HeaderBytes; bytes++) {
    const Packet datagram(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(bytes));
    CHECK(VxlanHeader().Refuse(datagram) == DropReason::truncated);
  }
  const Packet shortest(whole.begin(), whole.begin() + kBytes + kIpv4HeaderBytes);
  CHECK(!VxlanHeader().Refuse(shortest));
}

TEST("expected header: without one every datagram passes") {
  CHECK(!ExpectedHeader().Refuse(Packet()));
}

}  // namespace hopsack::test
