// The packet threads themselves, in a loop (pump_loop.h).
#include <algorithm>
#include <numeric>
#include <thread>

#include "pump/inbound.h"
#include "pump/outbound.h"
#include "test/pump_loop.h"

namespace hopsack::test {
namespace {

/** Sends `inner` to the pump from the pump's own address behind `header`, the outer header marked with `ecn`. */
void SendMarked(PumpLoop& f, const Packet& inner, int ecn, ConstBytes header = kHeader) {
  Packet datagram(header.begin(), header.end());
  datagram.insert(datagram.end(), inner.begin(), inner.end());
  sockaddr_in self{};
  socklen_t length = sizeof self;
  Check(getsockname(f.socket.fd(), reinterpret_cast<sockaddr*>(&self), &length), "getsockname");
  Check(setsockopt(f.socket.fd(), IPPROTO_IP, IP_TOS, &ecn, sizeof ecn), "setsockopt");
  Check(static_cast<int>(sendto(f.socket.fd(), datagram.data(), datagram.size(), 0,
                                reinterpret_cast<const sockaddr*>(&self), length)),
        "sendto");
}

}  // namespace

TEST("inbound: a congestion mark goes into the inner header, and leaves its checksum as right or wrong as it was") {
  constexpr uint8_t kEct0 = 2, kCongestionExperienced = 3;
  PumpLoop f;
  Inbound inbound(f.context);
  f.Publish();
  for (int round = 0; round < 300; round++) {
    Spec spec;
    spec.tos = static_cast<uint8_t>(RandomBelow(64) << 2 | kEct0);
    spec.ip_id = static_cast<uint16_t>(Random()());
    Packet inner = MakePacket(spec);
    const bool is_damaged = OneIn(2);
    if (is_damaged) inner[kIpv4Ttl] ^= 0x20;
    SendMarked(f, inner, kCongestionExperienced);
    while (!inbound.RunOnce()) {
    }
    const Packet written = f.Read();
    CHECK(written.size() == sizeof(VirtioNetHeader) + inner.size());
    const uint8_t* ip = written.data() + sizeof(VirtioNetHeader);
    CHECK(ip[kIpv4Tos] == (spec.tos | kCongestionExperienced));
    CHECK((SlowSum(ip, 20) == 0xffff) == !is_damaged);
  }
}

TEST("inbound: the ECN fields of both headers become one as RFC 6040 has it, and the illegal pair is dropped") {
  constexpr uint8_t kDropped = 0xff;
  // By inner, then outer: Not-ECT, ECT(1), ECT(0), CE.
  constexpr uint8_t kTable[4][4] = {{0, 0, 0, kDropped}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  PumpLoop f;
  Inbound inbound(f.context);
  f.Publish();
  for (uint8_t inner = 0; inner < 4; inner++) {
    for (uint8_t outer = 0; outer < 4; outer++) {
      Spec spec;
      spec.tos = static_cast<uint8_t>(0xb8 | inner);
      const uint64_t dropped = f.words[kCounterCount + static_cast<size_t>(DropReason::ecn_illegal)];
      SendMarked(f, MakePacket(spec), outer);
      while (!inbound.RunOnce()) {
      }
      const uint8_t expected = kTable[inner][outer];
      const bool is_dropped = f.words[kCounterCount + static_cast<size_t>(DropReason::ecn_illegal)] > dropped;
      CHECK(is_dropped == (expected == kDropped));
      if (!is_dropped) CHECK(f.Read()[sizeof(VirtioNetHeader) + kIpv4Tos] == (0xb8 | expected));
    }
  }
}

TEST("inbound: IP-in-IP comes with the outer header in front, also a longer one, and holds nothing but IPv4") {
  PumpLoop f;
  f.context.outer.is_ipip = true;
  f.context.expected_header = {};
  Inbound inbound(f.context);
  f.Publish();
  const auto receive = [&](const Packet& inner, uint8_t outer_words) {
    Packet outer(size_t{outer_words} * 4);
    outer[0] = static_cast<uint8_t>(0x40 | outer_words);
    SendMarked(f, inner, 0, outer);
    while (!inbound.RunOnce()) {
    }
  };
  const Packet inner = MakePacket({});
  for (const uint8_t words : {uint8_t{5}, uint8_t{6}, uint8_t{15}}) {
    receive(inner, words);
    const Packet written = f.Read();
    CHECK(std::equal(inner.begin(), inner.end(), written.begin() + sizeof(VirtioNetHeader), written.end()));
  }
  const auto dropped = [&](DropReason reason) { return f.words[kCounterCount + static_cast<size_t>(reason)]; };
  Spec v6;
  v6.is_v6 = true;
  receive(MakePacket(v6), 5);
  CHECK(dropped(DropReason::bad_inner_packet) == 1);
  receive({}, 5);
  CHECK(dropped(DropReason::bad_inner_packet) == 2);
  Packet cut = inner;
  cut.resize(inner.size() - 1);
  receive(cut, 5);
  CHECK(dropped(DropReason::truncated) == 1);
}

TEST("inbound: a question goes up and not to the TUN, what is none goes on, also when one receive holds both") {
  constexpr size_t kQuestions = 5;
  constexpr uint8_t kAsks = 0x77;  // in the place of the inner packet's version
  PumpLoop f;
  PuntQueue queue({PuntPattern{{HeaderField{sizeof kHeader, kAsks, 0xff}}}});
  f.context.punts = &queue;
  Inbound inbound(f.context);
  f.Publish();
  const Packet inner = MakePacket({});
  Packet question = inner;
  question[0] = kAsks;
  for (size_t i = 0; i < kQuestions; i++) SendMarked(f, question, 0);
  SendMarked(f, inner, 0);
  while (f.words[static_cast<size_t>(Counter::udp_rx_datagrams)] <= kQuestions) inbound.RunOnce();
  CHECK(f.Read().size() == sizeof(VirtioNetHeader) + inner.size());
  CHECK(f.words[static_cast<size_t>(Counter::tun_tx_packets)] == 1);
  CHECK(f.words[static_cast<size_t>(Counter::punts)] == kQuestions);
  Punt punt;
  for (size_t i = 0; i < kQuestions; i++) {
    CHECK(queue.Pop(&punt) && punt.sender == htonl(INADDR_LOOPBACK) && punt.size == sizeof kHeader + question.size());
    CHECK(std::equal(question.begin(), question.end(), punt.bytes.begin() + sizeof kHeader));
  }
  CHECK(!queue.Pop(&punt));
}

TEST("inbound: a stranger's datagrams are counted, joined ones too, and what they hold is not looked at") {
  constexpr size_t kJoined = 9;
  PumpLoop f;
  Inbound inbound(f.context);  // no table: everybody is a stranger
  const Packet inner = MakePacket({});
  for (size_t i = 0; i < kJoined; i++) SendMarked(f, inner, 0);
  while (f.words[static_cast<size_t>(Counter::udp_rx_datagrams)] < kJoined) inbound.RunOnce();
  CHECK(f.words[kCounterCount + static_cast<size_t>(DropReason::unknown_sender)] == kJoined);
  CHECK(f.words[static_cast<size_t>(Counter::tun_tx_packets)] == 0);
}

TEST("pump threads: streams go round while tables are replaced, and the threads end when told to") {
  PumpLoop f;
  Outbound outbound(f.context);
  Inbound inbound(f.context);
  f.Publish();
  std::thread out([&] { outbound.Run(); }), in([&] { inbound.Run(); });
  std::atomic<bool> done{false};
  std::thread publisher([&] {
    while (!done.load()) f.Publish();
  });

  Spec spec;
  spec.tcp_option_bytes = 0;
  size_t written = 0, came_back = 0;
  bool is_silent = false;
  for (int round = 0; round < 100 && !is_silent; round++) {
    spec.payload_bytes = 1 + RandomBelow(20000);
    const bool is_super = spec.payload_bytes > 1000;
    const VirtioNetHeader cut_at_1000 = {kVirtioNeedsChecksum, kVirtioGsoTcpV4, 40, 1000, 20, kTcpChecksum};
    f.Write(is_super ? cut_at_1000 : VirtioNetHeader{}, MakePacket(spec));
    written += spec.payload_bytes;
    spec.sequence += static_cast<uint32_t>(spec.payload_bytes);
    while (came_back < written && !is_silent) {
      const Packet packet = f.Read();
      is_silent = packet.size() < 50;
      came_back += is_silent ? 0 : packet.size() - 50;
    }
  }
  done = true;
  publisher.join();
  f.stop.Signal();
  out.join();
  in.join();
  CHECK(!is_silent && came_back == written);
  const auto drops = f.words.begin() + kCounterCount;
  CHECK(std::accumulate(drops, drops + kDropReasonCount, uint64_t{0}) == 0);
  // Inner bytes of both directions, headers of every segment included, and nothing for anybody else.
  const uint64_t carried = f.words[static_cast<size_t>(Counter::tun_rx_bytes)];
  CHECK(f.peer_bytes[kPeer] == carried && f.peer_bytes[kPeerSlots + kPeer] == carried);
  CHECK(std::accumulate(f.peer_bytes.begin(), f.peer_bytes.end(), uint64_t{0}) == 2 * carried);
}

TEST("counters: a round of a packet thread is counted once, by how many packets it carried") {
  std::array<uint64_t, kWordCount> words{};
  SharedCounters shared(words.data(), {});
  const auto counted_at = [&](Direction direction, uint64_t packets) {
    words = {};
    shared.AddBatch(direction, packets);
    const auto word = std::ranges::find(words, 1U);
    return word == words.end() ? std::string() : std::string(kWordNames[static_cast<size_t>(word - words.begin())]);
  };
  CHECK(counted_at(Direction::kOutbound, 0).empty());
  CHECK(counted_at(Direction::kOutbound, 1) == "outbound_batches_1");
  CHECK(counted_at(Direction::kOutbound, 2) == "outbound_batches_2");
  CHECK(counted_at(Direction::kInbound, 3) == "inbound_batches_4");
  CHECK(counted_at(Direction::kInbound, 64) == "inbound_batches_64");
  CHECK(counted_at(Direction::kInbound, 65) == "inbound_batches_128");
  CHECK(counted_at(Direction::kOutbound, 1024) == "outbound_batches_1024");
  CHECK(counted_at(Direction::kOutbound, 1025) == "outbound_batches_inf");
  CHECK(counted_at(Direction::kInbound, 100000) == "inbound_batches_inf");
}

}  // namespace hopsack::test
