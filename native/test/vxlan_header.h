// What mode vxlan in user space expects in front of inner packets, and what it asks to go up: flags 1, reserved 3, VNI
// 3, reserved 1, Ethernet 14.
#pragma once

#include <vector>

#include "pump/punt_queue.h"

namespace hopsack::test {

inline constexpr size_t kVxlanHeaderBytes = 22;
/** Of our end of the tunnel. */
inline constexpr std::array<uint8_t, 6> kVxlanMac = {2, 0x11, 0x22, 0x33, 0x44, 0x55};

inline HeaderField Field(size_t offset, const std::vector<uint8_t>& value, const std::vector<uint8_t>& mask) {
  HeaderField field = {offset, 0, 0};
  std::memcpy(&field.value, value.data(), value.size());
  std::memcpy(&field.mask, mask.data(), mask.size());
  return field;
}

/** Network 1, as src/backend/vxlan-userspace.ts says it. */
inline ExpectedHeader VxlanHeader() {
  ExpectedHeader header;
  header.bytes = kVxlanHeaderBytes;
  const std::vector<uint8_t> mac(kVxlanMac.begin(), kVxlanMac.end());
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

/** ARP requests and neighbour solicitations in network 1, as src/backend/vtep-answers.ts says them. */
inline std::vector<PuntPattern> VxlanQuestions() {
  const HeaderField network = Field(0, {8, 0, 0, 0, 0, 0, 1}, {8, 0, 0, 0, 255, 255, 255});
  const std::vector<uint8_t> both(2, 255);
  return {PuntPattern{
              {Field(20, {8, 6}, both), Field(22, {0, 1, 8, 0, 6, 4, 0, 1}, std::vector<uint8_t>(8, 255)), network}},
          PuntPattern{{Field(28, {58, 255}, both), Field(62, {135}, {255}), Field(20, {0x86, 0xdd}, both), network}}};
}

}  // namespace hopsack::test
