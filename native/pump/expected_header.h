// What an arriving datagram must have in front of its inner packet, as TypeScript says it: fields by offset, value and
// mask, each with the reason for which a datagram without it is dropped. Knows no protocol.
#pragma once

#include <array>
#include <optional>

#include "pump/counters.h"
#include "tables/fib.h"

namespace hopsack {

/** Up to eight bytes at `offset`, compared at once; `value` has no bits beyond `mask`. */
struct HeaderField {
  static constexpr size_t kBytes = sizeof(uint64_t);

  size_t offset;
  uint64_t value, mask;  // as they lie in the packet

  /** `datagram` must reach to offset + kBytes. */
  bool Holds(ConstBytes datagram) const { return (LoadRaw64(&datagram[offset]) & mask) == value; }
};

struct HeaderCheck {
  HeaderField field;
  uint8_t except_version;  // not asked of inner packets of this IP version
  DropReason reason;
};

struct ExpectedHeader {
  static constexpr size_t kMaxChecks = 8;
  static constexpr uint8_t kNoVersion = 0xff;

  size_t bytes = 0;  // in front of the inner packet; UDP mode: none
  size_t check_count = 0;
  std::array<HeaderCheck, kMaxChecks> checks{};

  /** Why the datagram is not for us; fields lie within `bytes`, so none reaches beyond the shortest inner packet. */
  std::optional<DropReason> Refuse(ConstBytes datagram) const {
    if (bytes == 0) return std::nullopt;
    if (datagram.size() < bytes + kIpv4HeaderBytes) return DropReason::truncated;
    const uint8_t version = datagram[bytes] >> 4;
    for (size_t i = 0; i < check_count; i++) {
      if (checks[i].except_version != version && !checks[i].field.Holds(datagram)) return checks[i].reason;
    }
    return std::nullopt;
  }
};
static_assert(HeaderField::kBytes <= kIpv4HeaderBytes);

}  // namespace hopsack
