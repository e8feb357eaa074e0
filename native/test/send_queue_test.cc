// SendQueue on real sockets of the loopback: what a refused send costs, and whom it is blamed on.
#include "pump/send_queue.h"

#include <array>

#include "io/system_error.h"
#include "test/packets.h"

namespace hopsack::test {
namespace {

/** A queue whose socket sends from 127.0.0.1; `receiver` is where good datagrams go. */
struct Fixture {
  UniqueFd sender = Loopback();
  UniqueFd receiver = Loopback();
  StopEvent stop;
  std::array<uint64_t, kWordCount> words{};
  std::array<uint64_t, 4> peer_bytes{};
  SharedCounters shared{words.data(), peer_bytes};
  CounterBlock counters;
  IcmpResponder icmp{-1, true, counters};
  std::array<int, 1> lanes = {sender.get()};
  SendQueue queue{{lanes, true, 28}, stop, icmp, counters, shared};
  std::array<Packet, 2> datagrams = {MakePacket({}), MakePacket({})};

  static UniqueFd Loopback() {
    UniqueFd fd(Check(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    const sockaddr_in local = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
    Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local), "bind");
    return fd;
  }

  NextHop Receiver() const {
    NextHop hop{};
    socklen_t length = sizeof hop.endpoint;
    Check(getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&hop.endpoint), &length), "getsockname");
    return hop;
  }

  /** Both datagrams as one UDP_SEGMENT send. */
  void Send(const NextHop& hop) {
    for (Packet& datagram : datagrams) queue.Add(hop, {}, datagram, {});
    queue.Flush();
    counters.Publish(shared);
  }

  uint64_t Word(const char* name) const {
    size_t word = 0;
    while (std::string(kWordNames[word]) != name) word++;
    return words[word];
  }

  size_t Received() const {
    size_t count = 0;
    while (recv(receiver.get(), nullptr, 0, MSG_DONTWAIT) >= 0) count++;
    return count;
  }
};

}  // namespace

TEST("send queue: datagrams of one length to one host leave as one send and arrive as they were") {
  Fixture f;
  f.Send(f.Receiver());
  CHECK(f.Word("udp_tx_sends") == 1 && f.Word("udp_tx_datagrams") == 2 && f.Received() == 2);
}

TEST("send queue: IP-in-IP repeats TTL, DF and ECN of each packet, and its DSCP when that is wanted") {
  const auto outer_of = [](const OuterRules& rules, const Spec& spec) {
    Packet packet = MakePacket(spec);
    return rules.IpipOf(View(packet));
  };
  Spec spec;
  spec.tos = 0xbb, spec.ttl = 7;  // expedited forwarding, congestion experienced
  CHECK((outer_of({true, false}, spec) == OuterHeader{OuterRules::kDontFragment, 3, 7}));
  CHECK((outer_of({true, true}, spec) == OuterHeader{OuterRules::kDontFragment, 0xbb, 7}));
  spec.dont_fragment = false;
  CHECK(outer_of({true, false}, spec).lane == OuterRules::kMayFragment);
}

TEST("send queue: packets with headers of their own leave one by one, each with its TTL and TOS") {
  Fixture f;
  constexpr int kOn = 1;
  for (const int option : {IP_RECVTTL, IP_RECVTOS}) {
    Check(setsockopt(f.receiver.get(), IPPROTO_IP, option, &kOn, sizeof kOn), "setsockopt");
  }
  const NextHop hop = f.Receiver();
  f.queue.Add(hop, {0, 0xb8, 9}, f.datagrams[0], {});
  f.queue.Add(hop, {0, 2, 33}, f.datagrams[1], {});
  f.queue.Flush();
  f.counters.Publish(f.shared);
  CHECK(f.Word("udp_tx_sends") == 2 && f.Word("udp_tx_calls") == 1);
  for (const auto& [tos, ttl] : {std::pair{0xb8, 9}, std::pair{2, 33}}) {
    std::array<uint8_t, 2048> bytes;
    alignas(cmsghdr) std::array<uint8_t, 128> control;
    iovec iov = {bytes.data(), bytes.size()};
    msghdr message = {nullptr, 0, &iov, 1, control.data(), control.size(), 0};
    CHECK(recvmsg(f.receiver.get(), &message, MSG_DONTWAIT) > 0);
    int seen_tos = -1, seen_ttl = -1;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_type == IP_TOS) seen_tos = *CMSG_DATA(c);
      if (c->cmsg_type == IP_TTL) std::memcpy(&seen_ttl, CMSG_DATA(c), sizeof seen_ttl);
    }
    CHECK(seen_tos == tos && seen_ttl == ttl);
  }
}

TEST("send queue: what has left is counted for its peer without the bytes in front, what was refused is not") {
  Fixture f;
  NextHop hop = f.Receiver();
  hop.peer = 1, hop.header_bytes = 8;
  f.Send(hop);
  const uint64_t sent = 2 * (f.datagrams[0].size() - hop.header_bytes);
  CHECK(f.peer_bytes[1] == sent);
  hop.endpoint.sin_port = 0;
  f.Send(hop);
  CHECK((f.peer_bytes == std::array<uint64_t, 4>{0, sent, 0, 0}));
}

TEST("send queue: a refused UDP_SEGMENT goes out singly, loses nothing, and switches the offload off") {
  Fixture f;
  const int on = 1;  // the kernel refuses UDP_SEGMENT without checksums, with EINVAL
  Check(setsockopt(f.sender.get(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), "setsockopt");
  f.Send(f.Receiver());
  f.Send(f.Receiver());
  CHECK(f.Received() == 4 && f.Word("udp_tx_sends") == 4);
  CHECK(f.Word("udp_gso_fallbacks") == 1 && f.Word("drop_send_refused") == 0);
}

TEST("send queue: a peer that cannot be sent to at all does not switch UDP_SEGMENT off for the others") {
  Fixture f;
  NextHop nowhere = f.Receiver();
  nowhere.endpoint.sin_port = 0;  // EINVAL, as for a peer behind a blackhole route
  f.Send(nowhere);
  CHECK(f.Word("drop_send_refused") == 2 && f.Word("udp_gso_fallbacks") == 0);
  f.Send(f.Receiver());
  CHECK(f.Word("udp_tx_sends") == 1 && f.Received() == 2);
}

}  // namespace hopsack::test
