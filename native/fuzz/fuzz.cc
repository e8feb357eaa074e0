#include "fuzz/fuzz.h"

#include <cstdio>
#include <cstdlib>

namespace hopsack::fuzz {

void Fail(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: must hold: %s\n", file, line, condition);
  std::abort();
}

}  // namespace hopsack::fuzz

namespace hopsack::test {

/** Nothing is random in a fuzz target; test/packets.cc wants it for payload. */
std::mt19937_64& Random() {
  static std::mt19937_64 random(1);
  return random;
}

}  // namespace hopsack::test
