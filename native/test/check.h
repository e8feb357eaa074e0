// A test harness of forty lines: TAP on standard output, so that tap shows every native test by its name.
#pragma once

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace hopsack::test {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

inline std::vector<std::string>& Failures() {
  static std::vector<std::string> failures;
  return failures;
}

struct Registration {
  Registration(const char* name, void (*body)()) { Tests().push_back({name, body}); }
};

#define HOPSACK_CONCAT(a, b) a##b
#define HOPSACK_NAME(prefix, line) HOPSACK_CONCAT(prefix, line)
/** TEST("subject behaves so") { … } */
#define TEST(name)                                                                                                  \
  static void HOPSACK_NAME(TestBody, __LINE__)();                                                                   \
  static const ::hopsack::test::Registration HOPSACK_NAME(test_, __LINE__)(name, HOPSACK_NAME(TestBody, __LINE__)); \
  static void HOPSACK_NAME(TestBody, __LINE__)()

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      ::hopsack::test::Failures().push_back(std::string(__FILE__ ":") + std::to_string(__LINE__) + ": " + #condition); \
      return;                                                                                                          \
    }                                                                                                                  \
  } while (false)

/** Random numbers from a seed that a failing run prints; HOPSACK_TEST_SEED repeats it. */
std::mt19937_64& Random();

inline uint64_t RandomBelow(uint64_t limit) {
  return std::uniform_int_distribution<uint64_t>(0, limit - 1)(Random());
}
inline bool OneIn(uint64_t n) {
  return RandomBelow(n) == 0;
}
inline std::vector<uint8_t> RandomBytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Random()());
  return bytes;
}

}  // namespace hopsack::test
