// Underlay → TUN. The functions stand in the order in which a packet meets them.
#pragma once

#include <memory>

#include "pump/coalescer.h"
#include "pump/thread_context.h"
#include "pump/tun_writer.h"

namespace hopsack {

class Inbound {
 public:
  explicit Inbound(const ThreadContext& context);

  /** Carries packets until the pump stops. */
  void Run();

  /** Receives what the socket has, at most one batch, and writes it to the TUN. False when the socket was empty. */
  bool RunOnce();

 private:
  static constexpr size_t kMaxReceives = 8;
  static constexpr size_t kSlotBytes = 65536;
  static constexpr size_t kControlBytes = 128;
  static constexpr int kYieldsBeforeSleep = 20;  // see Outbound

  /** What the kernel says beside a receive. */
  struct Receive {
    size_t segment_bytes;  // length of each datagram but the last
    size_t gso_size;       // of a packet that came in whole; 0 else
    uint8_t outer_ecn;
    size_t accepted_bytes;  // of inner packets
  };

  int ReceiveBatch();
  void HandleReceive(size_t slot);
  void DropAll(const Receive& receive, size_t bytes);
  Receive ReadControl(const msghdr& message, size_t bytes);
  bool IsOnePacket(ConstBytes bytes) const;
  void HandleDatagram(Receive& receive, const NextHop& sender, Bytes datagram);
  bool ApplyEcn(const IpPacket& packet, uint8_t outer_ecn);
  void WriteAll();

  ThreadContext context_;
  CounterBlock counters_;
  Coalescer coalescer_;
  TunWriter writer_;
  const Fib* fib_ = nullptr;
  uint32_t overflow_seen_ = 0;  // SO_RXQ_OVFL counts up for the life of the socket
  std::unique_ptr<uint8_t[]> slots_;
  std::array<mmsghdr, kMaxReceives> messages_{};
  std::array<iovec, kMaxReceives> iovs_{};
  std::array<sockaddr_in, kMaxReceives> senders_{};
  struct alignas(cmsghdr) Control {
    uint8_t bytes[kControlBytes];
  };
  std::array<Control, kMaxReceives> controls_{};
};

}  // namespace hopsack
