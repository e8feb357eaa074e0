// What the pump counts. Threads count into a plain block of their own and add it to the shared words once a batch;
// the shared words lie in memory that JavaScript allocated and reads with Atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hopsack {

// X(name): words that only grow. "packets" are inner packets as the wire carries them: a super-packet of 40 segments
// is 40.
#define HOPSACK_COUNTERS(X) \
  X(tun_rx_packets)         \
  X(tun_rx_bytes)           \
  X(tun_rx_reads)           \
  X(tun_rx_super_packets)   \
  X(udp_tx_datagrams)       \
  X(udp_tx_bytes)           \
  X(udp_tx_sends)           \
  X(udp_tx_calls)           \
  X(udp_rx_datagrams)       \
  X(udp_rx_bytes)           \
  X(udp_rx_receives)        \
  X(udp_rx_calls)           \
  X(tun_tx_packets)         \
  X(tun_tx_bytes)           \
  X(tun_tx_writes)          \
  X(tun_tx_super_packets)   \
  X(icmp_sent)              \
  X(icmp_rate_limited)      \
  X(punts)                  \
  X(punt_answers)           \
  X(udp_gso_fallbacks)      \
  X(outbound_turns)         \
  X(inbound_turns)          \
  X(tun_gro_fallbacks)

// X(name): words that hold a state.
#define HOPSACK_GAUGES(X) \
  X(offload_tso)          \
  X(offload_uso)          \
  X(offload_udp_gso)      \
  X(offload_udp_gro)      \
  X(offload_tun_gro)      \
  X(fib_routes)           \
  X(device_lost)

enum class Counter : uint8_t {
#define X(name) name,
  HOPSACK_COUNTERS(X)
#undef X
      kCount
};

enum class DropReason : uint8_t {
#define X(name, help) name,
#include "pump/drop_reason.def"
#undef X
  kCount
};

enum class Gauge : uint8_t {
#define X(name) name,
  HOPSACK_GAUGES(X)
#undef X
      kCount
};

inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);
inline constexpr size_t kDropReasonCount = static_cast<size_t>(DropReason::kCount);
inline constexpr size_t kGaugeCount = static_cast<size_t>(Gauge::kCount);
inline constexpr size_t kWordCount = kCounterCount + kDropReasonCount + kGaugeCount;

/** Names of the shared words, in their order: counters, drop_<reason>, gauges. */
inline constexpr std::array<const char*, kWordCount> kWordNames = {
#define X(name) #name,
    HOPSACK_COUNTERS(X)
#undef X
#define X(name, help) "drop_" #name,
#include "pump/drop_reason.def"
#undef X
#define X(name) #name,
        HOPSACK_GAUGES(X)
#undef X
};

struct DropReasonText {
  const char* name;
  const char* help;
};
inline constexpr std::array<DropReasonText, kDropReasonCount> kDropReasons = {{
#define X(name, help) {#name, help},
#include "pump/drop_reason.def"
#undef X
}};

/** The shared words. `words` must outlive every thread that counts. */
class SharedCounters {
 public:
  explicit SharedCounters(uint64_t* words) : words_(words) {}

  void Add(size_t word, uint64_t amount) { At(word).fetch_add(amount, std::memory_order_relaxed); }
  void Set(Gauge gauge, uint64_t value) {
    At(kCounterCount + kDropReasonCount + static_cast<size_t>(gauge)).store(value, std::memory_order_relaxed);
  }

 private:
  std::atomic_ref<uint64_t> At(size_t word) { return std::atomic_ref<uint64_t>(words_[word]); }

  uint64_t* words_;
};

/** One thread's counts since its last Publish. */
class CounterBlock {
 public:
  void Add(Counter counter, uint64_t amount = 1) { counts_[static_cast<size_t>(counter)] += amount; }
  void Drop(DropReason reason, uint64_t packets = 1) {
    counts_[kCounterCount + static_cast<size_t>(reason)] += packets;
  }

  void Publish(SharedCounters& shared) {
    for (size_t word = 0; word < counts_.size(); word++) {
      if (counts_[word] != 0) shared.Add(word, counts_[word]);
      counts_[word] = 0;
    }
  }

  uint64_t drops(DropReason reason) const { return counts_[kCounterCount + static_cast<size_t>(reason)]; }

 private:
  std::array<uint64_t, kCounterCount + kDropReasonCount> counts_{};
};

}  // namespace hopsack
