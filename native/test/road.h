// A loopback socket in front of an Inbound, and a socket pair in the place of the TUN: what goes in as datagrams, and
// which writes come out.
#pragma once

#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/udp_socket.h"
#include "pump/inbound.h"
#include "test/super_packets.h"

namespace hopsack::test {

class Road {
 public:
  static constexpr size_t kMtu = 1450;

  explicit Road(OffloadFlags offloads, const ExpectedHeader& header = {})
      : socket_(Loopback(0)), sender_(Loopback(0)), words_(kWordCount), shared_(words_.data(), peer_bytes_) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tun_) != 0) std::abort();
    const int buffer_bytes = 4 << 20;
    setsockopt(tun_[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    if (offloads.udp_gro) socket_.SetGro(true);
    PublishPeer();
    inbound_ = std::make_unique<Inbound>(ThreadContext{
        tun_[0], socket_.fd(), {}, offloads, true, 28, kMtu, header, false, nullptr, fibs_, stop_, shared_});
  }
  ~Road() {
    close(tun_[0]);
    close(tun_[1]);
  }

  /** One send; with `gso_size` the receiver sees what veth makes of a kernel peer's super-packet: one buffer, uncut. */
  void Send(const Packet& datagram, uint16_t gso_size = 0) {
    if (!TrySend(datagram, gso_size)) std::abort();
  }

  /** False when the kernel does not send this. */
  bool TrySend(const Packet& datagram, uint16_t gso_size) {
    sockaddr_in to{};
    socklen_t length = sizeof to;
    getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&to), &length);
    const int segment_bytes = gso_size;
    setsockopt(sender_.fd(), SOL_UDP, UDP_SEGMENT, &segment_bytes, sizeof segment_bytes);
    const auto* address = reinterpret_cast<const sockaddr*>(&to);
    return sendto(sender_.fd(), datagram.data(), datagram.size(), 0, address, length) >= 0;
  }

  /** The TOS byte of datagrams sent from now on. */
  void SetOuterTos(int tos) { setsockopt(sender_.fd(), IPPROTO_IP, IP_TOS, &tos, sizeof tos); }

  /** What comes out of all that was sent, at least one datagram. */
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
  /** Of inner packets. */
  uint64_t accepted_bytes() const { return peer_bytes_[1]; }
  uint64_t drops(DropReason reason) const { return words_[kCounterCount + static_cast<size_t>(reason)]; }

 private:
  static UdpSocket Loopback(uint16_t port) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_port = htons(port);
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return UdpSocket(local);
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
  std::unique_ptr<Inbound> inbound_;
};

}  // namespace hopsack::test
