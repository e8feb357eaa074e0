// [mode 1 | sender 1 | datagram]: what CheckDatagram lets pass is what the mode allows, and every reason it gives is
// true. Mode 0 is UDP's shape, without a header; 1 is VXLAN's. Senders: two known hosts.
#include "fuzz/fuzz.h"
#include "pump/sender_check.h"
#include "test/vxlan_header.h"

namespace {

using namespace hopsack;

constexpr in_addr_t kHosts[] = {0x0b32a8c0, 0x0c32a8c0};  // 192.168.50.11, .12

/** 10.244.(1|2).0/24 and fd00:10:244:(1|2)::/64 of the two hosts; 10.244.0.0/16 and fd00:10:244::/48 are this one's. */
const Fib& Table() {
  static const Fib table = [] {
    FibRecords records({}, {}, {});
    for (uint32_t i = 0; i < 2; i++) {
      NextHop hop{};
      hop.endpoint.sin_addr.s_addr = kHosts[i];
      hop.peer = i;
      records.next_hops.push_back(hop);
      const auto subnet = static_cast<uint8_t>(i + 1);
      records.routes.push_back({{10, 244, subnet, 0}, 4, 24, i});
      records.routes.push_back({{0xfd, 0, 0, 0x10, 2, 0x44, 0, subnet}, 6, 64, i});
    }
    records.own_subnets.push_back({{10, 244}, 4, 16, 0});
    records.own_subnets.push_back({{0xfd, 0, 0, 0x10, 2, 0x44}, 6, 48, 0});
    return Fib(records);
  }();
  return table;
}

constexpr uint8_t kNetworkV4[] = {10, 244}, kNetworkV6[] = {0xfd, 0, 0, 0x10, 2, 0x44};

bool IsInNetwork(const IpPacket& packet, const uint8_t* address) {
  if (packet.is_v6) return std::memcmp(address, kNetworkV6, sizeof kNetworkV6) == 0;
  return std::memcmp(address, kNetworkV4, sizeof kNetworkV4) == 0;
}

/** The host's number that has the source; 2: nobody. */
size_t OwnerOf(const IpPacket& packet) {
  if (!IsInNetwork(packet, packet.source())) return 2;
  const uint8_t* subnet = packet.source() + (packet.is_v6 ? sizeof kNetworkV6 : sizeof kNetworkV4);
  if (packet.is_v6 && *subnet++ != 0) return 2;
  return *subnet == 1 || *subnet == 2 ? *subnet - 1U : 2;
}

/** RFC 791 section 3.2. */
bool EndsWhereNoneCan(const IpPacket& packet) {
  if (packet.is_v6) return false;
  const size_t units = size_t{packet.data()[6] & 0x1fU} << 8 | packet.data()[7];
  return units * 8 + packet.size() > 65535;
}

/** RFC 7348's header, asked in words of its own. */
bool IsTrueOfHeader(DropReason reason, const test::Packet& datagram) {
  const uint8_t* d = datagram.data();
  const bool is_whole = datagram.size() >= 8 + 14 + 20;
  const int type = is_whole ? d[20] << 8 | d[21] : 0, version = is_whole ? d[22] >> 4 : 0;
  switch (reason) {
    case DropReason::truncated:
      return !is_whole;
    case DropReason::no_vni_flag:
      return is_whole && (d[0] & 8) == 0;
    case DropReason::wrong_vni:
      return is_whole && !(d[4] == 0 && d[5] == 0 && d[6] == 1);
    case DropReason::inner_multicast:
      return is_whole && (d[8] & 1) != 0;
    case DropReason::wrong_inner_mac:
      return is_whole && !std::equal(test::kVxlanMac.begin(), test::kVxlanMac.end(), d + 8);
    case DropReason::wrong_ether_type:
      return is_whole && !(type == 0x0800 && version == 4) && !(type == 0x86dd && version == 6);
    default:
      return false;
  }
}

bool IsTrue(DropReason reason, const test::Packet& datagram, size_t header_bytes, size_t sender) {
  if (header_bytes != 0 && IsTrueOfHeader(reason, datagram)) return true;
  test::Packet inner(datagram.begin() + static_cast<ptrdiff_t>(std::min(header_bytes, datagram.size())),
                     datagram.end());
  IpPacket packet;
  const IpError error = ParseIp(inner, false, &packet);
  switch (reason) {
    case DropReason::truncated:
      return error == IpError::kLengthMismatch;
    case DropReason::bad_inner_packet:
      return error == IpError::kNone ? EndsWhereNoneCan(packet) : error != IpError::kLengthMismatch;
    case DropReason::inner_source:
      return error == IpError::kNone && OwnerOf(packet) != sender;
    case DropReason::inner_destination:
      return error == IpError::kNone && !IsInNetwork(packet, packet.destination());
    default:
      return false;
  }
}

}  // namespace

FUZZ(input) {
  const bool is_vxlan = input.Take<uint8_t>() % 2 == 1;
  const size_t sender = input.Take<uint8_t>() % std::size(kHosts);
  test::Packet datagram = input.TakeRest();
  static FibPublisher fibs;
  static const StopEvent stop;
  static uint64_t words[kWordCount];
  ThreadContext context{-1, -1, {}, {}, false, 0, 0, {}, true, nullptr, fibs, stop, SharedCounters(words, {})};
  if (is_vxlan) context.expected_header = test::VxlanHeader();

  const test::Packet before = datagram;
  IpPacket packet;
  const auto refused = CheckDatagram(context, Table(), *Table().FindPeer(kHosts[sender]), datagram, &packet);
  MUST(datagram == before);
  const size_t header_bytes = context.expected_header.bytes;
  if (refused.has_value()) return MUST(IsTrue(*refused, datagram, header_bytes, sender));
  for (size_t reason = 0; reason < kDropReasonCount; reason++) {
    MUST(!IsTrue(static_cast<DropReason>(reason), datagram, header_bytes, sender));
  }
  MUST(packet.data() == datagram.data() + header_bytes && header_bytes + packet.size() <= datagram.size());
  MUST(packet.size() == IpTotalLength(packet.bytes) && packet.header_bytes <= packet.size());
  MUST(OwnerOf(packet) == sender && IsInNetwork(packet, packet.destination()));
}
