// Packets of kernel peers whose checksum nobody finished, and which nobody cut: from the datagram to the TUN's writes.
#include "pump/unfinished.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/udp_socket.h"
#include "pump/inbound.h"
#include "test/packets.h"

namespace hopsack::test {
namespace {

constexpr size_t kMtu = 1450;

uint16_t PseudoSum(const Packet& packet) {
  const bool is_v6 = packet[0] >> 4 == 6;
  const size_t ip_bytes = is_v6 ? 40 : 20;
  const uint16_t addresses = SlowSum(&packet[is_v6 ? kIpv6Source : kIpv4Source], is_v6 ? 32 : 8);
  const uint32_t rest =
      packet[is_v6 ? kIpv6NextHeader : kIpv4Protocol] + static_cast<uint32_t>(packet.size() - ip_bytes);
  return SlowSum(nullptr, 0, addresses + rest);
}

uint8_t* ChecksumField(Packet& packet) {
  const bool is_v6 = packet[0] >> 4 == 6;
  const bool is_tcp = packet[is_v6 ? kIpv6NextHeader : kIpv4Protocol] == IPPROTO_TCP;
  return &packet[(is_v6 ? 40 : 20) + (is_tcp ? kTcpChecksum : kUdpChecksum)];
}

/** As a kernel hands it to a device that finishes checksums. */
Packet Unfinished(const Spec& spec) {
  Packet packet = MakePacket(spec);
  StoreBe16(ChecksumField(packet), PseudoSum(packet));
  return packet;
}

std::vector<Spec> AllKinds(size_t payload_bytes) {
  std::vector<Spec> specs(4);
  for (size_t i = 0; i < specs.size(); i++) {
    specs[i].is_v6 = (i & 1) != 0;
    specs[i].is_tcp = (i & 2) != 0;
    specs[i].payload_bytes = payload_bytes;
  }
  return specs;
}

/** What a TUN would be given: header (none without virtio_net_hdr) and packet of each write. */
struct Written {
  VirtioNetHeader offload;
  Packet bytes;
};

/** A loopback socket in front of an Inbound, and a socket pair in the place of the TUN. */
class Road {
 public:
  explicit Road(OffloadFlags offloads, size_t mtu_bytes = kMtu)
      : socket_(Loopback(0)), sender_(Loopback(0)), words_(kWordCount), shared_(words_.data(), peer_bytes_) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tun_) != 0) std::abort();
    const int buffer_bytes = 4 << 20;
    setsockopt(tun_[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    if (offloads.udp_gro) socket_.SetGro(true);
    PublishPeer();
    inbound_ = std::make_unique<Inbound>(ThreadContext{tun_[0],
                                                       socket_.fd(),
                                                       {},
                                                       offloads,
                                                       true,
                                                       28,
                                                       mtu_bytes,
                                                       ExpectedHeader{},
                                                       false,
                                                       nullptr,
                                                       fibs_,
                                                       stop_,
                                                       shared_});
  }
  ~Road() {
    close(tun_[0]);
    close(tun_[1]);
  }

  /** One send; with `gso_size` the receiver sees what veth makes of a kernel peer's super-packet: one buffer, uncut. */
  void Send(const Packet& datagram, uint16_t gso_size = 0) {
    sockaddr_in to{};
    socklen_t length = sizeof to;
    getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&to), &length);
    if (gso_size != 0) setsockopt(sender_.fd(), SOL_UDP, UDP_SEGMENT, &segment_option(gso_size), sizeof(int));
    const auto* address = reinterpret_cast<const sockaddr*>(&to);
    if (sendto(sender_.fd(), datagram.data(), datagram.size(), 0, address, length) < 0) std::abort();
    setsockopt(sender_.fd(), SOL_UDP, UDP_SEGMENT, &segment_option(0), sizeof(int));
  }

  std::vector<Written> Receive() {
    pollfd ready = {socket_.fd(), POLLIN, 0};
    poll(&ready, 1, 2000);
    while (inbound_->RunOnce()) {
    }
    std::vector<Written> all;
    std::vector<uint8_t> buffer(70000);
    for (ssize_t n; (n = read(tun_[1], buffer.data(), buffer.size())) > 0;) {
      Written written{};
      std::memcpy(&written.offload, buffer.data(), sizeof written.offload);
      written.bytes.assign(buffer.begin() + sizeof written.offload, buffer.begin() + n);
      all.push_back(written);
    }
    return all;
  }

  uint64_t count(Counter counter) const { return words_[static_cast<size_t>(counter)]; }

 private:
  static UdpSocket Loopback(uint16_t port) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_port = htons(port);
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return UdpSocket(local);
  }

  const int& segment_option(int bytes) {
    segment_bytes_ = bytes;
    return segment_bytes_;
  }

  /** 127.0.0.1 is a peer. */
  void PublishPeer() {
    const std::vector<uint8_t> hop = {127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    fibs_.Publish(std::make_unique<const Fib>(hop, ConstBytes{}, ConstBytes{}));
  }

  UdpSocket socket_, sender_;
  std::vector<uint64_t> words_;
  std::array<uint64_t, 2> peer_bytes_{};
  SharedCounters shared_;
  FibPublisher fibs_;
  StopEvent stop_;
  int tun_[2];
  int segment_bytes_ = 0;
  std::unique_ptr<Inbound> inbound_;
};

constexpr OffloadFlags kAll = {true, true, true, true, true};
constexpr OffloadFlags kNone = {false, false, false, false, false};

/** The segments of a super-packet, as a kernel would cut it. */
std::vector<Packet> Cut(Packet packet, size_t gso_size) {
  IpPacket view = View(packet);
  const VirtioNetHeader offload = OffloadOf(view, gso_size);
  Segmenter segmenter;
  if (!segmenter.Init(view, offload)) return {};
  std::vector<Packet> segments;
  for (size_t i = 0; i < segmenter.segment_count(); i++) {
    Packet segment(segmenter.header_bytes());
    const ConstBytes payload = segmenter.Stamp(i, segment.data());
    segment.insert(segment.end(), payload.begin(), payload.end());
    segments.push_back(segment);
  }
  return segments;
}

}  // namespace

TEST("unfinished: the bare sum of the pseudo-header is told from a right and from a wrong checksum") {
  for (const Spec& spec : AllKinds(333)) {
    const size_t l4 = spec.is_v6 ? 40 : 20;
    Packet right = MakePacket(spec), unfinished = Unfinished(spec), wrong = right;
    wrong.back() ^= 0x20;
    CHECK(JudgeL4Checksum(View(right), l4) == L4Checksum::kRight);
    CHECK(JudgeL4Checksum(View(unfinished), l4) == L4Checksum::kUnfinished);
    CHECK(JudgeL4Checksum(View(wrong), l4) == L4Checksum::kWrong);
    CHECK(OffloadOf(View(right), 100).flags == 0 && OffloadOf(View(wrong), 100).flags == 0);
    CHECK(OffloadOf(View(unfinished), 0).flags == kVirtioNeedsChecksum);
    CHECK(OffloadOf(View(unfinished), 0).gso_type == kVirtioGsoNone);
    CHECK(OffloadOf(View(unfinished), 333).gso_type == kVirtioGsoNone);
    CHECK(OffloadOf(View(unfinished), 332).gso_type != kVirtioGsoNone);
  }
}

TEST("unfinished: fragments and cut-off headers are left alone") {
  Spec spec;
  spec.payload_bytes = 8;
  Packet fragment = Unfinished(spec);
  StoreBe16(&fragment[kIpv4Fragment], kIpv4MoreFragments);
  CHECK(OffloadOf(View(fragment), 0).flags == 0);
  Packet stump = Unfinished(spec);
  stump.resize(30);
  StoreBe16(&stump[kIpv4TotalLength], 30);
  CHECK(OffloadOf(View(stump), 0).flags == 0);
}

TEST("unfinished: a lone packet is written with the order to finish its checksum") {
  Road road(kAll);
  for (const Spec& spec : AllKinds(333)) {
    const Packet packet = Unfinished(spec);
    road.Send(packet);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 1 && written[0].bytes == packet);
    CHECK(written[0].offload.flags == kVirtioNeedsChecksum && written[0].offload.gso_type == kVirtioGsoNone);
    Packet finished = written[0].bytes;
    CHECK(FinishChecksum(finished, written[0].offload) && ChecksumsAreRight(finished));
  }
}

TEST("unfinished: a packet whose checksum is right, or wrong, is written as it is") {
  Road road(kAll);
  for (const Spec& spec : AllKinds(333)) {
    for (const bool is_damaged : {false, true}) {
      Packet packet = MakePacket(spec);
      if (is_damaged) packet.back() ^= 1;
      road.Send(packet);
      const std::vector<Written> written = road.Receive();
      CHECK(written.size() == 1 && written[0].bytes == packet && written[0].offload.flags == 0);
    }
  }
}

TEST("unfinished: a packet of many segments that lies in one receive is one write, cut by the kernel") {
  for (const Spec& spec : AllKinds(9000)) {
    Road road(kAll);
    const Packet packet = Unfinished(spec);
    road.Send(packet, 1000);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 1 && written[0].bytes == packet);
    CHECK(written[0].offload.gso_size == 1000 && written[0].offload.flags == kVirtioNeedsChecksum);
    CHECK(road.count(Counter::udp_rx_datagrams) == 1);
    CHECK(road.count(Counter::tun_tx_super_packets) == 1 && road.count(Counter::tun_tx_packets) == 9);
    for (const Packet& segment : Cut(written[0].bytes, 1000)) CHECK(ChecksumsAreRight(segment));
  }
}

TEST("unfinished: short UDP datagrams in one uncut packet stay datagrams, also below the MTU") {
  Road road(kAll);
  Spec spec;
  spec.is_tcp = false;
  spec.payload_bytes = 300;
  road.Send(Unfinished(spec), 100);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].offload.gso_size == 100 && written[0].offload.gso_type == kVirtioGsoUdp);
}

TEST("unfinished: several packets in one receive are still told apart") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 1000;
  Packet datagrams;
  std::vector<Packet> packets;
  for (int i = 0; i < 9; i++) {
    packets.push_back(MakePacket(spec));
    datagrams.insert(datagrams.end(), packets.back().begin(), packets.back().end());
    spec.sequence += 1000;
    spec.ip_id++;
  }
  road.Send(datagrams, static_cast<uint16_t>(packets[0].size()));
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].offload.gso_size == 1000);
  CHECK(road.count(Counter::udp_rx_datagrams) == 9 && road.count(Counter::tun_tx_packets) == 9);
}

TEST("unfinished: without offloads towards the TUN an uncut packet is cut here, checksums finished") {
  for (const Spec& spec : AllKinds(9000)) {
    OffloadFlags offloads = kNone;
    offloads.udp_gro = true;
    Road road(offloads);
    const Packet packet = Unfinished(spec);
    road.Send(packet, 1000);
    const std::vector<Written> written = road.Receive();
    CHECK(written.size() == 9);
    for (const Written& segment : written) CHECK(segment.offload.flags == 0 && ChecksumsAreRight(segment.bytes));
    CHECK(road.count(Counter::tun_tx_packets) == 9 && road.count(Counter::tun_tx_super_packets) == 0);
  }
}

TEST("unfinished: an uncut TCP packet of unknown segment size is cut to the MTU") {
  Road road(kNone);
  Spec spec;
  spec.payload_bytes = 9000;
  road.Send(Unfinished(spec));
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 7);
  for (const Written& segment : written) CHECK(segment.bytes.size() <= kMtu && ChecksumsAreRight(segment.bytes));
}

TEST("unfinished: a packet longer than the MTU that is finished is left to the receiver") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 3000;
  const Packet packet = MakePacket(spec);
  road.Send(packet);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 1 && written[0].bytes == packet && written[0].offload.gso_type == kVirtioGsoNone);
}

TEST("unfinished: segments of one flow merge, finished or not; a wrong one never") {
  Road road(kAll);
  Spec spec;
  spec.payload_bytes = 1000;
  std::vector<Packet> packets;
  for (int i = 0; i < 6; i++) {
    packets.push_back(i % 2 == 0 ? Unfinished(spec) : MakePacket(spec));
    spec.sequence += 1000;
    spec.ip_id++;
  }
  packets[4].back() ^= 1;  // nobody can tell: its sender has not summed it up
  packets[5].back() ^= 1;
  for (const Packet& packet : packets) road.Send(packet);
  const std::vector<Written> written = road.Receive();
  CHECK(written.size() == 2);
  CHECK(written[0].offload.gso_size == 1000 && written[0].bytes.size() == packets[0].size() + 4000);
  CHECK(written[1].bytes == packets[5] && written[1].offload.flags == 0);
}

TEST("unfinished: nothing of its flow overtakes an uncut packet") {
  Coalescer coalescer({true, true});
  Spec spec;
  spec.payload_bytes = 1000;
  Packet first = MakePacket(spec);
  spec.sequence += 1000;
  spec.ip_id++;
  Packet third = MakePacket(spec);  // would merge with the first
  Spec whole = spec;
  whole.sequence = 77;
  whole.payload_bytes = 5000;
  Packet second = Unfinished(whole);
  coalescer.Add(View(first));
  coalescer.Add(View(second), 1000);
  coalescer.Add(View(third));
  CHECK(coalescer.item_count() == 3);
}

TEST("unfinished: an uncut packet that contradicts itself is one packet, whatever the receive says") {
  for (int round = 0; round < 20000; round++) {
    Spec spec = AllKinds(RandomBelow(3000))[RandomBelow(4)];
    Packet packet = Unfinished(spec);
    const size_t l4 = spec.is_v6 ? 40 : 20;
    packet[l4 + RandomBelow(packet.size() - l4)] = static_cast<uint8_t>(Random()());
    packet.resize(packet.size() - (OneIn(2) ? RandomBelow(8) : 0));
    IpPacket view;
    if (ParseIp(packet, true, &view) != IpError::kNone) continue;
    const size_t gso_size = 1 + RandomBelow(2000);
    const VirtioNetHeader offload = OffloadOf(view, gso_size);
    SegmentPayload(view, RandomBelow(1500));
    if (offload.gso_type == kVirtioGsoNone) continue;
    size_t bytes = 0;
    for (const Packet& segment : Cut(packet, gso_size)) bytes += segment.size();
    CHECK(bytes == 0 || bytes >= packet.size());
  }
}

}  // namespace hopsack::test
