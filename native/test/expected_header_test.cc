// The header in front of inner packets, with VXLAN's as the example: flags 1, reserved 3, VNI 3, reserved 1,
// Ethernet 14.
#include "pump/expected_header.h"

#include "test/packets.h"

namespace hopsack::test {
namespace {

constexpr size_t kBytes = 22;
constexpr std::array<uint8_t, 6> kOwnMac = {2, 0x11, 0x22, 0x33, 0x44, 0x55};

HeaderField Field(size_t offset, const std::vector<uint8_t>& value, const std::vector<uint8_t>& mask) {
  HeaderField field = {offset, 0, 0};
  std::memcpy(&field.value, value.data(), value.size());
  std::memcpy(&field.mask, mask.data(), mask.size());
  return field;
}

ExpectedHeader Vxlan() {
  ExpectedHeader header;
  header.bytes = kBytes;
  const std::vector<uint8_t> mac(kOwnMac.begin(), kOwnMac.end());
  for (const HeaderCheck& check : {
           HeaderCheck{Field(0, {8}, {8}), ExpectedHeader::kNoVersion, DropReason::no_vni_flag},
           HeaderCheck{Field(4, {0, 0, 1}, {255, 255, 255}), ExpectedHeader::kNoVersion, DropReason::wrong_vni},
           HeaderCheck{Field(8, {0}, {1}), ExpectedHeader::kNoVersion, DropReason::inner_multicast},
           HeaderCheck{Field(8, mac, std::vector<uint8_t>(6, 255)), ExpectedHeader::kNoVersion,
                       DropReason::wrong_inner_mac},
           HeaderCheck{Field(20, {8, 0}, {255, 255}), 6, DropReason::wrong_ether_type},
           HeaderCheck{Field(20, {0x86, 0xdd}, {255, 255}), 4, DropReason::wrong_ether_type},
       }) {
    header.checks[header.check_count++] = check;
  }
  return header;
}

Packet Datagram(bool is_v6) {
  Spec spec;
  spec.is_v6 = is_v6;
  Packet datagram = {8, 0, 0, 0, 0, 0, 1, 0};
  datagram.insert(datagram.end(), kOwnMac.begin(), kOwnMac.end());
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
  return Vxlan().Refuse(datagram) == reason;
}

}  // namespace

TEST("expected header: a well-formed one passes, whatever stands in the bits that are not asked for") {
  for (const bool is_v6 : {false, true}) {
    Packet datagram = Datagram(is_v6);
    CHECK(!Vxlan().Refuse(datagram));
    datagram[0] = 0xff;  // reserved flags
    datagram[1] = datagram[2] = datagram[3] = datagram[7] = 0xff;
    datagram[14] = 0x77;  // source MAC
    CHECK(!Vxlan().Refuse(datagram));
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
    CHECK(Vxlan().Refuse(datagram) == DropReason::truncated);
  }
  const Packet shortest(whole.begin(), whole.begin() + kBytes + kIpv4HeaderBytes);
  CHECK(!Vxlan().Refuse(shortest));
}

TEST("expected header: without one every datagram passes") {
  CHECK(!ExpectedHeader().Refuse(Packet()));
}

}  // namespace hopsack::test
