// [fields 1 | (offset 1 | value 8 | mask 8)*] (what 1 | length 1 | datagram)*: which datagrams go up is told as byte by
// byte, and the ring gives back what it took, in order, never more than fit.
#include <deque>

#include "fuzz/fuzz.h"
#include "pump/punt_queue.h"
#include "test/vxlan_header.h"

namespace {

using namespace hopsack;

/** Byte by byte. */
bool Matches(const PuntPattern& pattern, const test::Packet& datagram) {
  for (const HeaderField& field : pattern.fields) {
    std::array<uint8_t, HeaderField::kBytes> value, mask;
    std::memcpy(value.data(), &field.value, value.size());
    std::memcpy(mask.data(), &field.mask, mask.size());
    for (size_t i = 0; i < value.size(); i++) {
      if (field.offset + i >= datagram.size() || (datagram[field.offset + i] & mask[i]) != value[i]) return false;
    }
  }
  return true;
}

}  // namespace

FUZZ(input) {
  std::vector<PuntPattern> patterns(2);
  uint8_t fields = input.Take<uint8_t>() % 6;
  if (fields == 0) patterns = test::VxlanQuestions();
  for (; fields > 0; fields--) {
    HeaderField field{input.Take<uint8_t>(), input.Take<uint64_t>(), input.Take<uint64_t>()};
    field.value &= field.mask;  // the contract of HeaderField
    patterns[fields % 2].fields.push_back(field);
  }
  PuntQueue queue(patterns);
  std::deque<test::Packet> waiting;
  size_t taken = 0;
  while (!input.empty()) {
    const auto what = input.Take<uint8_t>();
    const auto length = input.Take<uint8_t>() + size_t{what % 4 == 0};  // 256 and one more are the limit's two sides
    const test::Packet datagram = input.TakeBytes(length);
    const bool is_wanted = Matches(patterns[0], datagram) || Matches(patterns[1], datagram);
    MUST(queue.Wants(datagram) == (is_wanted && datagram.size() <= Punt::kMaxBytes));
    if (datagram.size() > Punt::kMaxBytes) continue;
    const auto refused = queue.Offer(what, datagram);
    MUST((refused == DropReason::punt_queue_full) == (waiting.size() == PuntQueue::kSlots));
    if (refused == DropReason::punt_rate_limited) MUST(taken >= PuntQueue::kBurst);
    if (!refused.has_value()) {
      waiting.push_back(datagram);
      taken++;
    }
    if (what % 3 != 0) continue;
    Punt punt;
    const bool is_there = queue.Pop(&punt);
    MUST(is_there == !waiting.empty());
    if (!is_there) continue;
    MUST(test::Packet(punt.bytes.begin(), punt.bytes.begin() + static_cast<ptrdiff_t>(punt.size)) == waiting.front());
    waiting.pop_front();
  }
}
