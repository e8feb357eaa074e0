// Big-endian fields in packets, and the packet as a window on bytes that somebody else owns.
// Callers check lengths once before they use an accessor; accessors never check again.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace hopsack {

static_assert(std::endian::native == std::endian::little, "byte order of the records from TypeScript is little endian");

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

/** Two or four bytes as they lie in memory: for sums and comparisons that do not care about byte order. */
inline uint16_t LoadRaw16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
inline uint32_t LoadRaw32(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
inline uint64_t LoadRaw64(const uint8_t* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
inline void StoreRaw16(uint8_t* p, uint16_t value) {
  std::memcpy(p, &value, sizeof value);
}

inline uint16_t LoadBe16(const uint8_t* p) {
  return __builtin_bswap16(LoadRaw16(p));
}
inline uint32_t LoadBe32(const uint8_t* p) {
  return __builtin_bswap32(LoadRaw32(p));
}
inline void StoreBe16(uint8_t* p, uint16_t value) {
  StoreRaw16(p, __builtin_bswap16(value));
}
inline void StoreBe32(uint8_t* p, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(p, &value, sizeof value);
}

}  // namespace hopsack
