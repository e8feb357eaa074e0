// [what 1 | …]: longest-prefix match against a model that looks at every prefix; tables made of any records; and tables
// that replace each other while readers hold them.
#include <set>

#include "fuzz/fuzz.h"
#include "tables/fib.h"

namespace {

using namespace hopsack;

template <typename Key>
Key Masked(Key address, unsigned length) {
  constexpr unsigned kBits = Lpm<Key>::kKeyBits;
  return length == 0 ? 0 : static_cast<Key>(address >> (kBits - length) << (kBits - length));
}

template <typename Key>
uint32_t SlowLookup(const std::vector<typename Lpm<Key>::Prefix>& prefixes, Key address) {
  const typename Lpm<Key>::Prefix* best = nullptr;
  for (const auto& prefix : prefixes) {
    const bool holds = Masked<Key>(address, prefix.length) == prefix.base;
    if (holds && (best == nullptr || prefix.length >= best->length)) best = &prefix;
  }
  return best == nullptr ? kNoRoute : best->value;
}

/** Prefixes, and questions at both sides of every one of their ends. */
template <typename Key>
void CheckLpm(fuzz::Input& input) {
  std::vector<typename Lpm<Key>::Prefix> prefixes;
  while (!input.empty() && prefixes.size() < 40) {
    const unsigned length = input.Take<uint8_t>() % (Lpm<Key>::kKeyBits + 1);
    const uint8_t repeat = input.Take<uint8_t>();
    // A neighbour or a part of the one before: prefixes that have nothing to do with each other are dull.
    const Key near = repeat < 128 || prefixes.empty() ? Key{0} : static_cast<Key>(prefixes.back().base + (repeat & 3));
    const auto base = Masked<Key>(near != 0 ? near : input.Take<Key>(), length);
    prefixes.push_back({base, static_cast<uint8_t>(length), static_cast<uint32_t>(prefixes.size())});
  }
  const Lpm<Key> lpm(prefixes);
  for (const auto& prefix : prefixes) {
    const Key size = prefix.length == 0 ? Key{0} : static_cast<Key>(Key{1} << (Lpm<Key>::kKeyBits - prefix.length));
    for (const Key address : {prefix.base, static_cast<Key>(prefix.base - 1), static_cast<Key>(prefix.base + size),
                              static_cast<Key>(prefix.base + size - 1), static_cast<Key>(prefix.base + size / 2)}) {
      MUST(lpm.Lookup(address) == SlowLookup<Key>(prefixes, address));
    }
  }
  MUST(lpm.Lookup(0) == SlowLookup<Key>(prefixes, 0) && lpm.Lookup(~Key{0}) == SlowLookup<Key>(prefixes, ~Key{0}));
}

const NextHop* Find(const Fib& fib, const FibRecords::Route& route) {
  test::Packet bytes(route.family == 4 ? 20 : 40);
  bytes[0] = route.family == 4 ? 0x45 : 0x60;
  IpPacket packet;
  if (ParseIp(bytes, true, &packet) != IpError::kNone) std::abort();
  return fib.Lookup(packet, route.address.data());
}

/** Records as they cross from TypeScript: taken, or refused in one way. */
void CheckRecords(fuzz::Input& input) {
  const size_t hop_bytes = input.Take<uint8_t>(), header_bytes = input.Take<uint8_t>();
  const test::Packet hops = input.TakeBytes(hop_bytes), headers = input.TakeBytes(header_bytes),
                     routes = input.TakeRest();
  try {
    const FibRecords records(hops, headers, routes);
    const Fib fib(records);
    for (const FibRecords::Route& route : records.routes) MUST(Find(fib, route) != nullptr);
    for (const NextHop& hop : records.next_hops) {
      const NextHop* peer = fib.FindPeer(hop.endpoint.sin_addr.s_addr);
      MUST(peer != nullptr && peer->endpoint.sin_addr.s_addr == hop.endpoint.sin_addr.s_addr);
      MUST(hop.peer < fib.peer_slots());
    }
    MUST(fib.route_count() == records.routes.size());
  } catch (const std::invalid_argument&) {
    // our own bug, and said in this one way
  }
}

/** A table that a reader holds is kept, every other one is freed; ASan sees the rest. */
void CheckPublisher(fuzz::Input& input) {
  constexpr size_t kMaxSteps = 12;
  FibPublisher publisher;
  std::array<const Fib*, FibPublisher::kMaxReaders> held{};
  const Fib* current = publisher.Acquire(0);
  held[0] = current;
  for (size_t step = 0; step < kMaxSteps && !input.empty(); step++) {
    const auto what = input.Take<uint8_t>();
    const size_t reader = (what >> 2) % held.size();
    if (what % 3 == 0) {
      MUST((held[reader] = publisher.Acquire(reader)) == current);
    } else if (what % 3 == 1) {
      publisher.Release(reader);
      held[reader] = nullptr;
    } else {
      auto next = std::make_unique<const Fib>();
      current = next.get();
      publisher.Publish(std::move(next));
      const std::set<const Fib*> kept(held.begin(), held.end());
      MUST(publisher.retired_count() == kept.size() - kept.count(nullptr) - kept.count(current));
    }
    for (const Fib* fib : held) MUST(fib == nullptr || fib->route_count() == 0);
  }
}

}  // namespace

FUZZ(input) {
  switch (input.Take<uint8_t>() % 4) {
    case 0:
      return CheckLpm<uint32_t>(input);
    case 1:
      return CheckLpm<Ipv6Bits>(input);
    case 2:
      return CheckRecords(input);
    default:
      return CheckPublisher(input);
  }
}
