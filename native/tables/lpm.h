// Longest-prefix match as sorted disjoint ranges: nested prefixes are flattened when the table is built, a lookup is a
// binary search for the last range that starts at or below the address. Immutable after construction.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hopsack {

/** Value of addresses that no prefix covers. */
inline constexpr uint32_t kNoRoute = UINT32_MAX;

/** `Key` is the address as an unsigned integer: uint32_t, or unsigned __int128 for IPv6. */
template <typename Key>
class Lpm {
 public:
  static constexpr unsigned kKeyBits = sizeof(Key) * 8;

  struct Prefix {
    Key base;        // bits beyond `length` are zero
    uint8_t length;  // 0 … kKeyBits
    uint32_t value;  // != kNoRoute
  };

  Lpm() : Lpm(std::vector<Prefix>{}) {}

  /** Of equal prefixes the last one wins. */
  explicit Lpm(std::vector<Prefix> prefixes) {
    std::stable_sort(prefixes.begin(), prefixes.end(), [](const Prefix& a, const Prefix& b) {
      return a.base != b.base ? a.base < b.base : a.length < b.length;
    });
    starts_.push_back(0);
    values_.push_back(kNoRoute);
    std::vector<Prefix> open;  // the prefixes around the current position, outermost first
    for (const Prefix& prefix : prefixes) {
      CloseBefore(prefix.base, open);
      open.push_back(prefix);
      StartRange(prefix.base, prefix.value);
    }
    while (!open.empty()) CloseInnermost(open);
    BuildIndex();
  }

  uint32_t Lookup(Key address) const {
    const size_t slot = static_cast<size_t>(address >> (kKeyBits - kIndexBits));
    auto first = starts_.begin() + index_[slot];
    auto last = starts_.begin() + index_[slot + 1] + 1;
    return values_[static_cast<size_t>(std::upper_bound(first, last, address) - starts_.begin()) - 1];
  }

 private:
  static constexpr unsigned kIndexBits = 16;

  static Key LastOf(const Prefix& prefix) {
    const Key host_bits = prefix.length == 0 ? ~Key{0} : static_cast<Key>(((Key{1} << (kKeyBits - prefix.length)) - 1));
    return prefix.base | host_bits;
  }

  void CloseBefore(Key base, std::vector<Prefix>& open) {
    while (!open.empty() && LastOf(open.back()) < base) CloseInnermost(open);
  }

  /** Behind the innermost prefix the one around it holds again. */
  void CloseInnermost(std::vector<Prefix>& open) {
    const Key last = LastOf(open.back());
    open.pop_back();
    if (last != ~Key{0}) StartRange(last + 1, open.empty() ? kNoRoute : open.back().value);
  }

  void StartRange(Key start, uint32_t value) {
    if (starts_.back() == start) {
      values_.back() = value;
    } else {
      starts_.push_back(start);
      values_.push_back(value);
    }
  }

  /** index_[i] = the range that holds the first address whose top 16 bits are i. */
  void BuildIndex() {
    index_.resize((size_t{1} << kIndexBits) + 1);
    size_t range = 0;
    for (size_t i = 0; i < index_.size() - 1; i++) {
      const Key first = static_cast<Key>(i) << (kKeyBits - kIndexBits);
      while (range + 1 < starts_.size() && starts_[range + 1] <= first) range++;
      index_[i] = static_cast<uint32_t>(range);
    }
    index_.back() = static_cast<uint32_t>(starts_.size() - 1);
  }

  std::vector<Key> starts_;
  std::vector<uint32_t> values_;
  std::vector<uint32_t> index_;
};

}  // namespace hopsack
