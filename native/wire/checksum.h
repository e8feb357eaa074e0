// The Internet checksum (RFC 1071). Sums are taken over bytes as they lie in memory, so a folded sum is stored with
// StoreRaw16; no byte swapping anywhere (RFC 1071 section 2B).
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/bytes.h"

namespace hopsack {

/** `initial` plus the 16-bit words of `data`; an odd last byte counts as if a zero followed it. AVX2 where the CPU has
 * it. */
uint64_t ChecksumAdd(uint64_t initial, const uint8_t* data, size_t length);

/** The same without vector instructions: what ChecksumAdd falls back to, and what tests compare it with. */
uint64_t ChecksumAddScalar(uint64_t initial, const uint8_t* data, size_t length);

/** Folds a sum to 16 bits; not complemented. */
inline uint16_t ChecksumFold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

/** Adds two sums with end-around carry. */
inline uint64_t ChecksumCombine(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

/** A value in host byte order as the sum sees it when it lies in a packet. */
inline uint64_t ChecksumWord(uint16_t host_order) {
  return __builtin_bswap16(host_order);
}

}  // namespace hopsack
