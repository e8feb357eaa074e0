#include "wire/checksum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hopsack {
namespace {

/** Up to seven trailing bytes. */
uint64_t AddTail(uint64_t sum, const uint8_t* data, size_t length) {
  uint8_t tail[8] = {};
  std::memcpy(tail, data, length);
  return ChecksumCombine(sum, LoadRaw64(tail));
}

#if defined(__x86_64__)
/** 32-bit words summed in 64-bit lanes: no carry can be lost below 2^32 words. */
__attribute__((target("avx2"))) uint64_t ChecksumAddAvx2(uint64_t initial, const uint8_t* data, size_t length) {
  constexpr size_t kBlock = 64;
  if (length < 2 * kBlock) return ChecksumAddScalar(initial, data, length);
  const __m256i low_words = _mm256_set1_epi64x(0xffffffff);
  __m256i even0 = _mm256_setzero_si256(), even1 = even0, odd0 = even0, odd1 = even0;
  size_t done = 0;
  for (; done + kBlock <= length; done += kBlock) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + done));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + done + 32));
    even0 = _mm256_add_epi64(even0, _mm256_and_si256(a, low_words));
    odd0 = _mm256_add_epi64(odd0, _mm256_srli_epi64(a, 32));
    even1 = _mm256_add_epi64(even1, _mm256_and_si256(b, low_words));
    odd1 = _mm256_add_epi64(odd1, _mm256_srli_epi64(b, 32));
  }
  const __m256i total = _mm256_add_epi64(_mm256_add_epi64(even0, odd0), _mm256_add_epi64(even1, odd1));
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), total);
  const uint64_t sum = ChecksumCombine(initial, lanes[0] + lanes[1] + lanes[2] + lanes[3]);
  return ChecksumAddScalar(sum, data + done, length - done);
}

#endif

using AddFunction = uint64_t (*)(uint64_t, const uint8_t*, size_t);

AddFunction FastestAdd() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) return ChecksumAddAvx2;
#endif
  return ChecksumAddScalar;
}

const AddFunction kAdd = FastestAdd();

}  // namespace

uint64_t ChecksumAddScalar(uint64_t initial, const uint8_t* data, size_t length) {
  uint64_t sum = initial;
  size_t done = 0;
  for (; done + 8 <= length; done += 8) sum = ChecksumCombine(sum, LoadRaw64(data + done));
  return done == length ? sum : AddTail(sum, data + done, length - done);
}

uint64_t ChecksumAdd(uint64_t initial, const uint8_t* data, size_t length) {
  return kAdd(initial, data, length);
}

}  // namespace hopsack
