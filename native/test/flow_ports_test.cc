// Inner flows on source ports of their own: what arrives at a loopback socket, and from which port.
#include <arpa/inet.h>
#include <unistd.h>

#include <map>
#include <set>

#include "io/udp_socket.h"
#include "pump/outbound.h"
#include "test/packets.h"

namespace hopsack::test {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(port);
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return local;
}

sockaddr_in NameOf(const UdpSocket& socket) {
  sockaddr_in name{};
  socklen_t length = sizeof name;
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&name), &length);
  return name;
}

/** A socket pair in the place of the TUN, an Outbound, and a loopback socket as the peer. */
class Road {
 public:
  explicit Road(size_t source_ports)
      : main_(Loopback(0)), peer_(Loopback(0)), flows_(OpenFlowSockets(Loopback(0), source_ports)), words_(kWordCount) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tun_) != 0) std::abort();
    for (const UdpSocket& socket : flows_) lanes_.push_back(socket.fd());
    if (lanes_.empty()) lanes_ = {main_.fd()};
    PublishPeer();
    const OffloadFlags offloads = {true, true, true, true, true};
    outbound_ = std::make_unique<Outbound>(ThreadContext{tun_[0], main_.fd(), lanes_, offloads, true, 28, 1450,
                                                         ExpectedHeader{}, true, nullptr, fibs_, stop_,
                                                         SharedCounters(words_.data(), peer_bytes_)});
  }
  ~Road() {
    close(tun_[0]);
    close(tun_[1]);
  }

  void Give(const Packet& packet) {
    Packet read(sizeof(VirtioNetHeader));
    read.insert(read.end(), packet.begin(), packet.end());
    if (write(tun_[1], read.data(), read.size()) < 0) std::abort();
  }

  struct Arrival {
    uint16_t port;
    Packet bytes;
  };

  std::vector<Arrival> Carry() {
    while (outbound_->RunOnce()) {
    }
    std::vector<Arrival> arrivals;
    sockaddr_in from{};
    socklen_t length = sizeof from;
    Packet bytes(70000);
    for (ssize_t n;
         (n = recvfrom(peer_.fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &length)) > 0;) {
      arrivals.push_back({ntohs(from.sin_port), Packet(bytes.begin(), bytes.begin() + n)});
    }
    return arrivals;
  }

  uint64_t count(Counter counter) const { return words_[static_cast<size_t>(counter)]; }
  uint16_t main_port() const { return ntohs(NameOf(main_).sin_port); }
  const UdpSocket& flow(size_t i) const { return flows_[i]; }

 private:
  /** 10.0.0.0/8 lies behind peer_. */
  void PublishPeer() {
    const uint16_t port = ntohs(NameOf(peer_).sin_port);
    const Packet hop = {127, 0, 0, 1, static_cast<uint8_t>(port), static_cast<uint8_t>(port >> 8), 0, 0, 0, 0, 0, 0,
                        0,   0, 0, 0};
    Packet route(24);
    route[0] = 10;
    route[16] = 4;
    route[17] = 8;
    fibs_.Publish(std::make_unique<const Fib>(hop, ConstBytes{}, route));
  }

  UdpSocket main_, peer_;
  std::vector<UdpSocket> flows_;
  std::vector<int> lanes_;
  std::vector<uint64_t> words_;
  std::array<uint64_t, 2> peer_bytes_{};
  FibPublisher fibs_;
  StopEvent stop_;
  int tun_[2];
  std::unique_ptr<Outbound> outbound_;
};

Packet FlowPacket(uint16_t source_port, uint32_t sequence) {
  Spec spec;
  spec.source_port = source_port;
  spec.sequence = sequence;
  return MakePacket(spec);
}

}  // namespace

TEST("flow ports: every flow keeps one source port and its order, and many flows have many") {
  Road road(16);
  for (uint32_t round = 0; round < 3; round++) {
    for (uint16_t flow = 0; flow < 60; flow++) road.Give(FlowPacket(static_cast<uint16_t>(5000 + flow), round));
  }
  std::map<uint16_t, std::set<uint16_t>> ports_of_flow;
  std::map<uint16_t, uint32_t> next_sequence;
  std::set<uint16_t> ports;
  size_t arrived = 0;
  for (const Road::Arrival& arrival : road.Carry()) {
    const uint16_t flow = LoadBe16(&arrival.bytes[20]);
    CHECK(LoadBe32(&arrival.bytes[20 + kTcpSequence]) == next_sequence[flow]++);
    ports_of_flow[flow].insert(arrival.port);
    ports.insert(arrival.port);
    arrived++;
  }
  CHECK(arrived == 180 && ports_of_flow.size() == 60);
  for (const auto& [flow, used] : ports_of_flow) CHECK(used.size() == 1);
  CHECK(ports.size() >= 12);  // of 16, for 60 flows: fewer would be a poor hash
  for (const uint16_t port : ports) CHECK(port >= 61000);
}

TEST("flow ports: fragments of one packet take one port") {
  Road road(16);
  std::set<uint16_t> ports;
  for (uint16_t i = 0; i < 20; i++) {
    Packet fragment = FlowPacket(static_cast<uint16_t>(5000 + i), 0);  // what lies in the place of ports differs
    StoreBe16(&fragment[kIpv4Fragment], static_cast<uint16_t>(i == 0 ? kIpv4MoreFragments : kIpv4MoreFragments | i));
    road.Give(fragment);
  }
  for (const Road::Arrival& arrival : road.Carry()) ports.insert(arrival.port);
  CHECK(ports.size() == 1);
}

TEST("flow ports: equal datagrams of one flow still go out in one send, those of two flows do not") {
  Road road(16);
  for (uint32_t i = 0; i < 10; i++) road.Give(FlowPacket(5000, i));
  CHECK(road.Carry().size() == 10 && road.count(Counter::udp_tx_sends) == 1);
}

TEST("flow ports: without them everything leaves from the one port, all flows of a host in one send") {
  Road road(0);
  for (uint16_t flow = 0; flow < 10; flow++) road.Give(FlowPacket(static_cast<uint16_t>(5000 + flow), 0));
  const auto arrivals = road.Carry();
  CHECK(arrivals.size() == 10 && road.count(Counter::udp_tx_sends) == 1 && road.count(Counter::udp_tx_calls) == 1);
  for (const Road::Arrival& arrival : arrivals) CHECK(arrival.port == road.main_port());
}

TEST("flow ports: what arrives at one is thrown away, and a taken port is passed over") {
  Road first(2), second(2);
  CHECK(NameOf(first.flow(0)).sin_port != NameOf(second.flow(0)).sin_port);
  const sockaddr_in to = NameOf(first.flow(0));
  const UdpSocket sender(Loopback(0));
  CHECK(sendto(sender.fd(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
  char byte;
  CHECK(recv(first.flow(0).fd(), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

}  // namespace hopsack::test
