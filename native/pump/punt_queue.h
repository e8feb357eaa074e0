// The way up: datagrams that need thought (ARP for our tunnel end) go from the receiving thread to TypeScript, copied
// into a small ring. Which ones, TypeScript says as patterns of bytes; knows no protocol. Nobody can flood it: so many
// a second, so many waiting, so long each.
#pragma once

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <vector>

#include "io/system_error.h"
#include "io/unique_fd.h"
#include "pump/expected_header.h"
#include "pump/token_bucket.h"

namespace hopsack {

/** A datagram matches when all fields hold. */
struct PuntPattern {
  std::vector<HeaderField> fields;

  bool Matches(ConstBytes datagram) const {
    return std::all_of(fields.begin(), fields.end(), [datagram](const HeaderField& field) {
      return field.offset + HeaderField::kBytes <= datagram.size() && field.Holds(datagram);
    });
  }
};

struct Punt {
  static constexpr size_t kMaxBytes = 256;

  in_addr_t sender;
  size_t size;
  std::array<uint8_t, kMaxBytes> bytes;
};

class PuntQueue {
 public:
  static constexpr size_t kSlots = 32;
  static constexpr uint32_t kPerSecond = 200, kBurst = kSlots;

  /** @throws SystemError */
  explicit PuntQueue(std::vector<PuntPattern> patterns)
      : patterns_(std::move(patterns)), bell_(Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

  /** Whether the datagram is not to be carried but to go up. Receiving thread only, as Offer. */
  bool Wants(ConstBytes datagram) const {
    return datagram.size() <= Punt::kMaxBytes &&
           std::any_of(patterns_.begin(), patterns_.end(), [&](const PuntPattern& p) { return p.Matches(datagram); });
  }

  /** Takes a copy of what it Wants and rings the bell; else says why not. */
  std::optional<DropReason> Offer(in_addr_t sender, ConstBytes datagram);

  /** False when none waits. From one thread only, another one than Offer's. */
  bool Pop(Punt* punt);

  /** An eventfd that can be read when something was offered since it was read last. */
  int bell() const { return bell_.get(); }

 private:
  std::vector<PuntPattern> patterns_;
  UniqueFd bell_;
  TokenBucket bucket_{kPerSecond, kBurst};
  std::atomic<size_t> pushed_{0}, popped_{0};
  std::array<Punt, kSlots> slots_;
};

}  // namespace hopsack
