// What the packet threads need, between a socket pair in the TUN's place and a UDP socket that sends to itself:
//
//   test ── socket pair ── Outbound ──▶ 127.0.0.1 ──▶ Inbound ── socket pair ── test
#pragma once

#include <poll.h>

#include "io/system_error.h"
#include "io/udp_socket.h"
#include "pump/thread_context.h"
#include "test/packets.h"

namespace hopsack::test {

inline constexpr int kLimitMilliseconds = 20000;
inline constexpr size_t kPeerSlots = 16;
inline constexpr uint32_t kPeer = 3;
inline constexpr uint8_t kHeader[] = {8, 0, 0, 0, 1, 2, 3, 0};

struct PumpLoop {
  std::array<UniqueFd, 2> tun = SocketPair();  // the pump's end, the test's end
  UdpSocket socket{{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}}};
  FibPublisher fibs;
  StopEvent stop;
  std::array<uint64_t, kWordCount> words{};
  std::array<uint64_t, 2 * kPeerSlots> peer_bytes{};
  std::array<int, 1> lanes = {socket.fd()};
  ThreadContext context{tun[0].get(),
                        socket.fd(),
                        lanes,
                        Offloads(),
                        true,
                        36,
                        1464,
                        Expected(),
                        true,
                        nullptr,
                        fibs,
                        stop,
                        SharedCounters(words.data(), peer_bytes)};

  static std::array<UniqueFd, 2> SocketPair() {
    std::array<int, 2> fds{};
    Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), "socketpair");
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
  OffloadFlags Offloads() { return {true, true, socket.SupportsGso(), socket.SetGro(true), true}; }
  static ExpectedHeader Expected() {
    ExpectedHeader header;
    header.bytes = sizeof kHeader;
    header.check_count = 1;
    header.checks[0] = {{0, LoadRaw64(kHeader), ~uint64_t{0}}, ExpectedHeader::kNoVersion, DropReason::wrong_vni};
    return header;
  }

  /** Everything of 10.0.0.0/8 lives here, and is sent from here: one next hop, the socket itself. */
  void Publish() {
    sockaddr_in self{};
    socklen_t length = sizeof self;
    Check(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&self), &length), "getsockname");
    const uint16_t port = ntohs(self.sin_port);
    const Packet hop = {
        127,   0, 0, 1, static_cast<uint8_t>(port), static_cast<uint8_t>(port >> 8), sizeof kHeader, 0, 0, 0, 0, 0,
        kPeer, 0, 0, 0};
    Packet route(24);
    route[0] = 10, route[16] = 4, route[17] = 8;
    fibs.Publish(std::make_unique<const Fib>(hop, kHeader, route, route));
  }

  void Write(const VirtioNetHeader& offload, const Packet& packet) {
    Packet bytes(sizeof offload);
    std::memcpy(bytes.data(), &offload, sizeof offload);
    bytes.insert(bytes.end(), packet.begin(), packet.end());
    Check(static_cast<int>(write(tun[1].get(), bytes.data(), bytes.size())), "write");
  }

  /** The next packet that was written to the TUN, its virtio_net_hdr in front; empty when none comes. */
  Packet Read() {
    pollfd readable = {tun[1].get(), POLLIN, 0};
    Packet bytes(sizeof(VirtioNetHeader) + 65536);
    if (poll(&readable, 1, kLimitMilliseconds) != 1) return {};
    const ssize_t length = read(tun[1].get(), bytes.data(), bytes.size());
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(length, 0)));
    return bytes;
  }
};

}  // namespace hopsack::test
