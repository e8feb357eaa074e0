// So many a second and no more: for what other people's packets make the pump do. Used by one thread.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

namespace hopsack {

class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, uint32_t burst)
      : per_second_(per_second), limit_(burst * kToken), credit_(limit_), refilled_ms_(NowMilliseconds()) {}

  /** False when this one is too many. */
  bool Take() {
    const uint64_t now = NowMilliseconds();
    credit_ = std::min(limit_, credit_ + (now - refilled_ms_) * per_second_);
    refilled_ms_ = now;
    if (credit_ < kToken) return false;
    credit_ -= kToken;
    return true;
  }

 private:
  static constexpr uint64_t kToken = 1000;  // so that a millisecond earns per_second_

  static uint64_t NowMilliseconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
  }

  uint64_t per_second_, limit_, credit_, refilled_ms_;
};

}  // namespace hopsack
