// The way up to the control plane: what it takes, what it refuses and why, and that two threads may use its two ends.
#include "pump/punt_queue.h"

#include <arpa/inet.h>
#include <poll.h>

#include <chrono>
#include <thread>

#include "pump/sender_check.h"
#include "test/packets.h"

namespace hopsack::test {
namespace {

/** Byte 3 must be 7. */
std::vector<PuntPattern> Pattern() {
  return {PuntPattern{{HeaderField{3, 7, 0xff}}}};
}

Packet Wanted(size_t bytes = 40) {
  Packet packet(bytes, 1);
  packet[3] = 7;
  return packet;
}

bool IsRinging(const PuntQueue& queue) {
  pollfd bell = {queue.bell(), POLLIN, 0};
  return poll(&bell, 1, 0) == 1;
}

/** How many of `count` were taken. */
size_t OfferMany(PuntQueue& queue, size_t count) {
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) taken += queue.Offer(1, Wanted()).has_value() ? 0 : 1;
  return taken;
}

}  // namespace

TEST("punt queue: gives back what was offered with its sender, in order, and rings the bell") {
  PuntQueue queue(Pattern());
  Punt punt;
  CHECK(!queue.Pop(&punt) && !IsRinging(queue));
  for (const size_t bytes : {40, 256}) CHECK(!queue.Offer(static_cast<in_addr_t>(bytes), Wanted(bytes)));
  CHECK(IsRinging(queue));
  for (const size_t bytes : {40, 256}) {
    CHECK(queue.Pop(&punt) && punt.sender == bytes && punt.size == bytes && punt.bytes[3] == 7);
  }
  CHECK(!queue.Pop(&punt));
}

TEST("punt queue: wants neither what differs, nor what is too short for the field, nor what is too long") {
  const PuntQueue queue(Pattern());
  CHECK(queue.Wants(Wanted()) && queue.Wants(Wanted(256)) && queue.Wants(Wanted(3 + HeaderField::kBytes)));
  Packet other = Wanted();
  other[3] = 8;
  CHECK(!queue.Wants(other) && !queue.Wants(Wanted(257)));
  for (size_t bytes = 4; bytes < 3 + HeaderField::kBytes; bytes++) CHECK(!queue.Wants(Wanted(bytes)));
  CHECK(!queue.Wants(Packet()));
  CHECK(!PuntQueue({}).Wants(Wanted()));
}

TEST("punt queue: all fields of one pattern must hold") {
  std::vector<PuntPattern> patterns = Pattern();
  patterns[0].fields.push_back({5, 2, 0x0f});
  patterns.push_back({{HeaderField{0, 9, 0xff}}});
  const PuntQueue queue(patterns);
  Packet packet = Wanted();
  CHECK(!queue.Wants(packet));
  packet[5] = 0xf2;
  CHECK(queue.Wants(packet));
  packet = Packet(40, 9);
  CHECK(queue.Wants(packet));
}

TEST("punt queue: a flood fills it and goes no further; a reader that comes late finds the first ones") {
  PuntQueue queue(Pattern());
  CHECK(OfferMany(queue, 100000) == PuntQueue::kSlots);
  CHECK(queue.Offer(1, Wanted()) == DropReason::punt_queue_full);
  Punt punt;
  size_t read = 0;
  while (queue.Pop(&punt)) read++;
  CHECK(read == PuntQueue::kSlots);
}

TEST("punt queue: a reader that keeps up gets no more than the rate") {
  PuntQueue queue(Pattern());
  Punt punt;
  size_t taken = 0;
  std::optional<DropReason> refused;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 100000; i++) {
    const auto reason = queue.Offer(1, Wanted());
    if (reason.has_value()) refused = reason;
    taken += queue.Pop(&punt) ? 1 : 0;
  }
  CHECK(refused == DropReason::punt_rate_limited);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
  constexpr double kClockTickSeconds = 0.01;
  CHECK(taken >= PuntQueue::kBurst);
  CHECK(static_cast<double>(taken) <=
        PuntQueue::kBurst + 1 + (passed.count() + kClockTickSeconds) * PuntQueue::kPerSecond);
}

TEST("punt queue: a question is taken with its sender, everything else is none") {
  PuntQueue queue(Pattern());
  FibPublisher fibs;
  const StopEvent stop;
  std::array<uint64_t, kWordCount> words{};
  ThreadContext context{
      -1, -1, {}, {}, false, 0, 0, ExpectedHeader{}, true, &queue, fibs, stop, SharedCounters(words.data(), {})};
  NextHop sender{};
  sender.endpoint.sin_addr.s_addr = inet_addr("192.168.50.11");
  CounterBlock counters;
  Punt punt;
  CHECK(TakePunt(context, sender, Wanted(), counters) && queue.Pop(&punt));
  CHECK(punt.sender == inet_addr("192.168.50.11"));
  CHECK(!TakePunt(context, sender, Packet(40), counters) && !queue.Pop(&punt));
  context.punts = nullptr;
  CHECK(!TakePunt(context, sender, Wanted(), counters));
}

TEST("punt queue: one thread offers while another takes, and nothing is torn or lost") {
  PuntQueue queue(Pattern());
  std::atomic<bool> is_over{false};
  size_t taken = 0, read = 0;
  bool is_whole = true;
  std::thread reader([&] {
    Punt punt;
    for (bool is_last = false; !is_last;) {
      is_last = is_over.load();
      while (queue.Pop(&punt)) {
        read++;
        is_whole = is_whole && punt.size == 40 && punt.bytes[39] == static_cast<uint8_t>(punt.sender);
      }
    }
  });
  for (uint32_t i = 0; i < 20000; i++) {
    Packet packet = Wanted();
    packet[39] = static_cast<uint8_t>(i);
    taken += queue.Offer(i, packet).has_value() ? 0 : 1;
  }
  is_over = true;
  reader.join();
  CHECK(is_whole && read == taken && taken >= PuntQueue::kSlots);
}

}  // namespace hopsack::test
