// TUN → underlay. The functions stand in the order in which a packet meets them.
#pragma once

#include <memory>

#include "pump/icmp_responder.h"
#include "pump/segmenter.h"
#include "pump/send_queue.h"
#include "pump/thread_context.h"

namespace hopsack {

class Outbound {
 public:
  explicit Outbound(const ThreadContext& context);

  /** Carries packets until the pump stops. */
  void Run();

  /** Reads what the TUN has, at most one batch, and sends it. False when the TUN was empty. For Run and for tests. */
  bool RunOnce();

 private:
  // One read gives one packet: [headroom for encapsulation | virtio_net_hdr | packet].
  static constexpr size_t kHeadroomBytes = kMaxEncapBytes;
  static constexpr size_t kSlotBytes = kHeadroomBytes + sizeof(VirtioNetHeader) + 65536;
  static constexpr size_t kMaxBatchReads = 64;
  // Sent at the latest when this much is queued: the bytes are still in the cache.
  static constexpr size_t kMaxBatchBytes = 128 << 10;
  static constexpr size_t kMaxBatchSegments = 2048;
  static constexpr size_t kSegmentHeaderBytes = kMaxEncapBytes + kMaxInnerHeaderBytes;
  // Looks at the TUN this often before it sleeps: waking a thread costs more than a few yields.
  static constexpr int kYieldsBeforeSleep = 20;

  enum class ReadResult { kPacket, kEmpty, kLost };

  ReadResult ReadPacket(uint8_t* slot, size_t* packet_bytes);
  void HandlePacket(uint8_t* slot, size_t packet_bytes);
  void RejectUnroutable(const IpPacket& packet, const VirtioNetHeader& offload);
  void SendPlain(const NextHop& hop, const IpPacket& packet, const VirtioNetHeader& offload);
  void SendSegments(const NextHop& hop, const IpPacket& packet, const VirtioNetHeader& offload);
  void Flush();
  void ReportLostDevice();

  ThreadContext context_;
  CounterBlock counters_;
  IcmpResponder icmp_;
  SendQueue queue_;
  const Fib* fib_ = nullptr;
  bool device_lost_ = false;
  size_t segment_headers_used_ = 0;
  std::unique_ptr<uint8_t[]> slots_;
  std::unique_ptr<uint8_t[]> segment_headers_;
};

}  // namespace hopsack
