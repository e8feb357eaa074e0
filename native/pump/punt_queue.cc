#include "pump/punt_queue.h"

namespace hopsack {

std::optional<DropReason> PuntQueue::Offer(in_addr_t sender, ConstBytes datagram) {
  const size_t pushed = pushed_.load(std::memory_order_relaxed);
  if (pushed - popped_.load(std::memory_order_acquire) == kSlots) return DropReason::punt_queue_full;
  if (!bucket_.Take()) return DropReason::punt_rate_limited;
  Punt& slot = slots_[pushed % kSlots];
  slot.sender = sender;
  slot.size = datagram.size();
  std::copy(datagram.begin(), datagram.end(), slot.bytes.begin());
  pushed_.store(pushed + 1, std::memory_order_release);
  eventfd_write(bell_.get(), 1);
  return std::nullopt;
}

bool PuntQueue::Pop(Punt* punt) {
  const size_t popped = popped_.load(std::memory_order_relaxed);
  if (popped == pushed_.load(std::memory_order_acquire)) return false;
  *punt = slots_[popped % kSlots];
  popped_.store(popped + 1, std::memory_order_release);
  return true;
}

}  // namespace hopsack
