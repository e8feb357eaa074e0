#include "tables/lpm.h"

#include "test/packets.h"

namespace hopsack::test {
namespace {

template <typename Key>
using Prefixes = std::vector<typename Lpm<Key>::Prefix>;

template <typename Key>
bool Covers(const typename Lpm<Key>::Prefix& prefix, Key address) {
  return prefix.length == 0 || (prefix.base ^ address) >> (Lpm<Key>::kKeyBits - prefix.length) == 0;
}

/** Every prefix looked at: the longest wins, of equals the last. */
template <typename Key>
uint32_t SlowLookup(const Prefixes<Key>& prefixes, Key address) {
  int best = -1;
  uint32_t value = kNoRoute;
  for (const auto& prefix : prefixes) {
    if (Covers<Key>(prefix, address) && prefix.length >= best) {
      best = prefix.length;
      value = prefix.value;
    }
  }
  return value;
}

template <typename Key>
Key RandomKey() {
  Key key = 0;
  for (size_t i = 0; i < sizeof(Key); i++) key = static_cast<Key>(key << 8) | static_cast<Key>(Random()() & 0xff);
  return key;
}

/** Addresses near the edges of prefixes are where mistakes live. */
template <typename Key>
Key InterestingAddress(const Prefixes<Key>& prefixes) {
  if (prefixes.empty() || OneIn(4)) return RandomKey<Key>();
  const auto& prefix = prefixes[RandomBelow(prefixes.size())];
  const Key host_bits =
      prefix.length == 0 ? ~Key{0} : static_cast<Key>((Key{1} << (sizeof(Key) * 8 - prefix.length)) - 1);
  switch (RandomBelow(5)) {
    case 0:
      return prefix.base;
    case 1:
      return prefix.base - 1;
    case 2:
      return prefix.base | host_bits;
    case 3:
      return (prefix.base | host_bits) + 1;
    default:
      return prefix.base | (RandomKey<Key>() & host_bits);
  }
}

template <typename Key>
bool AgreesWithSlowTable(size_t rounds) {
  constexpr unsigned kBits = sizeof(Key) * 8;
  for (size_t round = 0; round < rounds; round++) {
    Prefixes<Key> prefixes;
    const Key around = RandomKey<Key>();
    for (size_t i = RandomBelow(40); i > 0; i--) {
      const auto length = static_cast<uint8_t>(RandomBelow(kBits + 1));
      const Key mask = length == 0 ? Key{0} : static_cast<Key>(~Key{0} << (kBits - length));
      const Key base = OneIn(3) ? RandomKey<Key>() : around ^ static_cast<Key>(RandomBelow(1 << 20));
      prefixes.push_back({static_cast<Key>(base & mask), length, static_cast<uint32_t>(i)});
    }
    const Lpm<Key> table(prefixes);
    for (int i = 0; i < 200; i++) {
      const Key address = InterestingAddress<Key>(prefixes);
      if (table.Lookup(address) != SlowLookup<Key>(prefixes, address)) return false;
    }
  }
  return true;
}

}  // namespace

TEST("lpm: IPv4 lookups agree with a slow table, nested and adjacent prefixes included") {
  CHECK(AgreesWithSlowTable<uint32_t>(300));
}

TEST("lpm: IPv6 lookups agree with a slow table") {
  CHECK(AgreesWithSlowTable<unsigned __int128>(150));
}

TEST("lpm: an empty table has no route for anything") {
  const Lpm<uint32_t> table;
  CHECK(table.Lookup(0) == kNoRoute);
  CHECK(table.Lookup(UINT32_MAX) == kNoRoute);
}

}  // namespace hopsack::test
