// What every fuzz target shares: the word that stops it, and the reading of its input. A target is one file with one
// FUZZ(input) body; libFuzzer calls it with bytes that it made up, or with a file of corpus/.
#pragma once

#include <algorithm>

#include "test/packets.h"
#include "wire/virtio_net.h"

namespace hopsack::fuzz {

/** Says what does not hold, and ends: libFuzzer keeps the input. */
[[noreturn]] void Fail(const char* file, int line, const char* condition);

/** An invariant. */
#define MUST(condition) ((condition) ? void() : ::hopsack::fuzz::Fail(__FILE__, __LINE__, #condition))

/** The input, from its front; what is not there reads as zero. Numbers are little endian. */
class Input {
 public:
  explicit Input(ConstBytes bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }

  template <typename Number>
  Number Take() {
    Number number{};
    const size_t count = std::min(bytes_.size(), sizeof number);
    std::memcpy(&number, bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return number;
  }

  /** In memory of exactly their length, so that a look beyond them is seen. */
  test::Packet TakeBytes(size_t count) {
    const ConstBytes taken = bytes_.first(std::min(bytes_.size(), count));
    bytes_ = bytes_.subspan(taken.size());
    return test::Packet(taken.begin(), taken.end());
  }
  test::Packet TakeRest() { return TakeBytes(bytes_.size()); }

 private:
  ConstBytes bytes_;
};

}  // namespace hopsack::fuzz

#define FUZZ(input)                                                         \
  static void FuzzOne(::hopsack::fuzz::Input input);                        \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    FuzzOne(::hopsack::fuzz::Input({data, size}));                          \
    return 0;                                                               \
  }                                                                         \
  static void FuzzOne(::hopsack::fuzz::Input input)
