#include <cstdlib>

#include "test/check.h"

namespace hopsack::test {
namespace {

uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* wanted = std::getenv("HOPSACK_TEST_SEED");  // NOLINT(concurrency-mt-unsafe)
    return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : std::random_device{}();
  }();
  return seed;
}

}  // namespace

std::mt19937_64& Random() {
  static std::mt19937_64 random(Seed());
  return random;
}

}  // namespace hopsack::test

int main() {
  using namespace hopsack::test;
  std::printf("TAP version 13\n1..%zu\n# seed %llu\n", Tests().size(), static_cast<unsigned long long>(Seed()));
  bool all_passed = true;
  size_t number = 0;
  for (const Test& test : Tests()) {
    Random().seed(Seed());  // no test depends on which ran before it
    Failures().clear();
    test.body();
    const bool passed = Failures().empty();
    all_passed = all_passed && passed;
    std::printf("%s %zu - %s\n", passed ? "ok" : "not ok", ++number, test.name);
    for (const std::string& failure : Failures()) std::printf("# %s\n", failure.c_str());
    std::fflush(stdout);
  }
  return all_passed ? 0 : 1;
}
