// What the pump counts. Threads count into a plain block of their own and add it to the shared words once a batch;
// the shared words lie in memory that JavaScript allocated and reads with Atomics.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

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

// X(upper bound): rounds of a packet thread by the packets that it carried at once.
#define HOPSACK_BATCH_SIZES(X) X(1) X(2) X(4) X(8) X(16) X(32) X(64) X(128) X(256) X(512) X(1024) X(inf)

enum class Direction : uint8_t { kOutbound, kInbound };

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
#define X(size) #size,
inline constexpr size_t kBatchSizeCount = std::to_array({HOPSACK_BATCH_SIZES(X)}).size();
#undef X
inline constexpr size_t kFirstGauge = kCounterCount + kDropReasonCount;
inline constexpr size_t kFirstBatch = kFirstGauge + kGaugeCount;
inline constexpr size_t kWordCount = kFirstBatch + 2 * kBatchSizeCount;

/** Names of the shared words, in their order: counters, drop_<reason>, gauges, batches of each direction. */
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
#define X(size) "outbound_batches_" #size,
            HOPSACK_BATCH_SIZES(X)
#undef X
#define X(size) "inbound_batches_" #size,
                HOPSACK_BATCH_SIZES(X)
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

/** The shared words. Both must outlive every thread that counts. */
class SharedCounters {
 public:
  /** @param peer_bytes by peer: first half sent, second half received; the halves share no cache line */
  SharedCounters(uint64_t* words, std::span<uint64_t> peer_bytes) : words_(words), peer_bytes_(peer_bytes) {}

  void Add(size_t word, uint64_t amount) {
    std::atomic_ref<uint64_t>(words_[word]).fetch_add(amount, std::memory_order_relaxed);
  }
  void Set(Gauge gauge, uint64_t value) {
    std::atomic_ref<uint64_t>(words_[kFirstGauge + static_cast<size_t>(gauge)]).store(value, std::memory_order_relaxed);
  }

  size_t peer_slots() const { return peer_bytes_.size() / 2; }

  // Each of these words is written by the thread of its direction alone: no locked instruction is needed.

  void AddPeerBytes(Direction direction, uint32_t peer, uint64_t bytes) {
    Bump(peer_bytes_[(direction == Direction::kInbound ? peer_slots() : 0) + peer], bytes);
  }
  void AddBatch(Direction direction, uint64_t packets) {
    if (packets == 0) return;
    const auto size = std::min<size_t>(static_cast<size_t>(std::bit_width(packets - 1)), kBatchSizeCount - 1);
    Bump(words_[kFirstBatch + (direction == Direction::kInbound ? kBatchSizeCount : 0) + size], 1);
  }

 private:
  static void Bump(uint64_t& word, uint64_t amount) {
    const std::atomic_ref<uint64_t> shared(word);
    shared.store(shared.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  uint64_t* words_;
  std::span<uint64_t> peer_bytes_;
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

  uint64_t count(Counter counter) const { return counts_[static_cast<size_t>(counter)]; }
  uint64_t drops(DropReason reason) const { return counts_[kCounterCount + static_cast<size_t>(reason)]; }

 private:
  std::array<uint64_t, kCounterCount + kDropReasonCount> counts_{};
};

}  // namespace hopsack
