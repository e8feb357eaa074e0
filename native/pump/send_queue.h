// Gathers the datagrams of one batch into as few sends as the kernel allows, and sends them: datagrams of equal length
// of one flow to one host become one UDP_SEGMENT send, all sends of a socket one sendmmsg. Holds pointers only; the
// bytes must stay valid until Flush returns.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <memory>
#include <span>

#include "pump/counters.h"
#include "pump/flow_hash.h"
#include "pump/icmp_responder.h"
#include "pump/outer_header.h"
#include "pump/stop_event.h"
#include "tables/fib.h"

namespace hopsack {

class SendQueue {
 public:
  static constexpr size_t kMaxRuns = 64;
  static constexpr size_t kMaxIovs = 4096;
  static constexpr size_t kMaxSegments = 63;     // 64, but older kernels count the UDP header in
  static constexpr size_t kMaxRunBytes = 65507;  // what fits an IPv4 packet behind its headers
  static constexpr size_t kMaxIovsPerDatagram = 2;
  static constexpr size_t kMaxLanes = 32;

  struct Options {
    std::span<const int> lanes;  // sockets, at most kMaxLanes; UDP mode: one
    bool gso;
    size_t overhead_bytes;  // outer IP header to inner packet: path MTU minus this is what the sender may send
    OuterRules outer = {};
  };

  SendQueue(Options options, const StopEvent& stop, IcmpResponder& icmp, CounterBlock& counters,
            SharedCounters& shared);

  bool HasRoom() const { return run_count_ < kMaxRuns && iov_count_ + kMaxIovsPerDatagram <= kMaxIovs; }
  size_t queued_bytes() const { return queued_bytes_; }

  /** By UDP a flow has one socket: so its datagrams stay in order, and have a source port of their own. */
  OuterHeader OuterOf(const IpPacket& packet) const {
    if (options_.outer.is_ipip) return options_.outer.IpipOf(packet);
    const size_t lanes = options_.lanes.size();
    return {lanes == 1 ? uint8_t{0} : static_cast<uint8_t>(FlowHash(packet) % lanes), packet.ecn(), 0};
  }

  /** A datagram of `head` (encapsulation and inner headers, or all of it) and `tail` (may be empty). Needs HasRoom().
   */
  void Add(const NextHop& hop, OuterHeader outer, Bytes head, ConstBytes tail);

  /** Sends everything. Waits while the socket's buffer is full: the TUN's ring is the queue. */
  void Flush();

 private:
  /** Datagrams of equal length (the last may be shorter) to one endpoint. */
  struct Run {
    const NextHop* hop;
    uint32_t first_iov, iov_count;
    uint32_t bytes;
    uint32_t segment_bytes;
    uint32_t segments;
    OuterHeader outer;
    bool closed;
  };

  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + 2 * CMSG_SPACE(sizeof(int))];
  };

  bool Extends(const Run& run, const NextHop& hop, OuterHeader outer, size_t bytes) const;
  void FillMessage(const Run& run, msghdr& message, Control& control);
  bool FlushLane(uint8_t lane);
  bool SendRuns(uint8_t lane, size_t& next, size_t count);
  void HandleError(const Run& run, int error);
  bool SendSingly(const Run& run);
  bool SendOne(const Run& run);
  void DropRun(const Run& run, int error);
  void AnswerTooBig(const Run& run);
  void AnswerError(const Run& run, IcmpError error, uint16_t mtu);
  void CountSent(const Run& run);
  void DisableGso();

  Options options_;
  const StopEvent& stop_;
  IcmpResponder& icmp_;
  CounterBlock& counters_;
  SharedCounters& shared_;

  size_t run_count_ = 0, iov_count_ = 0, queued_bytes_ = 0;
  uint32_t lanes_used_ = 0;  // a bit each
  std::unique_ptr<Run[]> runs_;
  std::unique_ptr<iovec[]> iovs_;
  std::unique_ptr<mmsghdr[]> messages_;
  std::array<uint8_t, kMaxRuns> lane_runs_;  // runs behind messages_
  std::unique_ptr<Control[]> controls_;
};

}  // namespace hopsack
