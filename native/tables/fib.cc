#include "tables/fib.h"

#include <stdexcept>

namespace hopsack {
namespace {

// Layout of the records; the same numbers stand in src/dataplane/fib-records.ts.
constexpr size_t kNextHopRecordBytes = 16;  // address 4, port 2, header length 2, header offset 4, peer 4
constexpr size_t kRouteRecordBytes = 24;    // address 16, family 1, prefix length 1, unused 2, next hop 4

template <typename T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

in_addr_t AddressOf(const NextHop& hop) {
  return hop.endpoint.sin_addr.s_addr;
}

void Require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

NextHop ParseNextHop(const uint8_t* record, ConstBytes headers) {
  NextHop hop{};
  hop.endpoint.sin_family = AF_INET;
  hop.endpoint.sin_addr.s_addr = LoadRaw32(record);
  hop.endpoint.sin_port = htons(Load<uint16_t>(record + 4));
  hop.header_bytes = Load<uint16_t>(record + 6);
  hop.peer = Load<uint32_t>(record + 12);
  const size_t offset = Load<uint32_t>(record + 8);
  Require(hop.header_bytes <= kMaxEncapBytes, "encapsulation header too long");
  Require(offset + hop.header_bytes <= headers.size(), "encapsulation header outside the header bytes");
  std::copy_n(headers.begin() + static_cast<ptrdiff_t>(offset), hop.header_bytes, hop.header.begin());
  return hop;
}

FibRecords::Route ParseRoute(const uint8_t* record) {
  FibRecords::Route route{{}, record[16], record[17], Load<uint32_t>(record + 20)};
  std::copy_n(record, route.address.size(), route.address.begin());
  Require(route.family == 4 || route.family == 6, "route of an unknown family");
  Require(route.length <= (route.family == 4 ? 32 : 128), "prefix length out of range");
  return route;
}

bool Covers(const FibRecords::Route& subnet, const uint8_t* address) {
  const size_t whole_bytes = subnet.length / 8U;
  if (std::memcmp(subnet.address.data(), address, whole_bytes) != 0) return false;
  const unsigned rest_bits = subnet.length % 8U;
  return rest_bits == 0 || (subnet.address[whole_bytes] ^ address[whole_bytes]) >> (8 - rest_bits) == 0;
}

}  // namespace

FibRecords::FibRecords(ConstBytes next_hop_records, ConstBytes headers, ConstBytes route_records,
                       ConstBytes own_records) {
  Require(next_hop_records.size() % kNextHopRecordBytes == 0, "next hop records cut short");
  Require(route_records.size() % kRouteRecordBytes == 0, "route records cut short");
  Require(own_records.size() % kRouteRecordBytes == 0, "records of own subnets cut short");
  for (size_t at = 0; at < next_hop_records.size(); at += kNextHopRecordBytes) {
    next_hops.push_back(ParseNextHop(next_hop_records.data() + at, headers));
  }
  routes.reserve(route_records.size() / kRouteRecordBytes);
  for (size_t at = 0; at < route_records.size(); at += kRouteRecordBytes) {
    routes.push_back(ParseRoute(route_records.data() + at));
    Require(routes.back().hop < next_hops.size(), "route to a next hop that is not there");
  }
  for (size_t at = 0; at < own_records.size(); at += kRouteRecordBytes) {
    own_subnets.push_back(ParseRoute(own_records.data() + at));
  }
}

Fib::Fib(FibRecords records)
    : next_hops_(std::move(records.next_hops)),
      own_subnets_(std::move(records.own_subnets)),
      route_count_(records.routes.size()) {
  for (const NextHop& hop : next_hops_) {
    by_address_.push_back(static_cast<uint32_t>(by_address_.size()));
    peer_slots_ = std::max(peer_slots_, size_t{hop.peer} + 1);
  }
  std::ranges::sort(by_address_, {}, [this](uint32_t hop) { return AddressOf(next_hops_[hop]); });

  std::vector<Lpm<uint32_t>::Prefix> v4;
  std::vector<Lpm<Ipv6Bits>::Prefix> v6;
  for (const FibRecords::Route& route : records.routes) {
    if (route.family == 4) v4.push_back({LoadBe32(route.address.data()), route.length, route.hop});
    if (route.family == 6) v6.push_back({LoadIpv6(route.address.data()), route.length, route.hop});
  }
  v4_ = Lpm<uint32_t>(std::move(v4));
  v6_ = Lpm<Ipv6Bits>(std::move(v6));
}

bool Fib::IsOwn(const IpPacket& packet, const uint8_t* address) const {
  const uint8_t family = packet.is_v6 ? 6 : 4;
  return std::ranges::any_of(own_subnets_, [&](const FibRecords::Route& subnet) {
    return subnet.family == family && Covers(subnet, address);
  });
}

const NextHop* Fib::FindPeer(in_addr_t address) const {
  const auto found =
      std::ranges::lower_bound(by_address_, address, {}, [this](uint32_t hop) { return AddressOf(next_hops_[hop]); });
  if (found == by_address_.end() || AddressOf(next_hops_[*found]) != address) return nullptr;
  return &next_hops_[*found];
}

FibPublisher::~FibPublisher() {
  delete current_.load();
}

void FibPublisher::Publish(std::unique_ptr<const Fib> fib) {
  retired_.emplace_back(current_.exchange(fib.release(), std::memory_order_seq_cst));
  FreeRetired();
}

void FibPublisher::FreeRetired() {
  std::erase_if(retired_, [this](const std::unique_ptr<const Fib>& fib) {
    return std::none_of(in_use_.begin(), in_use_.end(), [&fib](const InUse& reader) {
      return reader.fib.load(std::memory_order_seq_cst) == fib.get();
    });
  });
}

}  // namespace hopsack
