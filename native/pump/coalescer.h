// Merges consecutive segments of one flow into super-packets, as the kernel's GRO would: the inverse of Segmenter.
// Pure: it reads packets that lie in receive buffers, copies no payload and does no I/O. The packets given to Add must
// stay valid and unchanged until Clear.
//
// The kernel does not verify the checksum of a coalesced write any more, and its IPv4 header is made anew, so both
// checksums of every packet that is merged are verified here first; one that fails stays alone and meets its judge in
// the receiving host. One that its sender left unfinished (pump/unfinished.h) has no L4 checksum to verify, and may be
// merged.
#pragma once

#include <sys/uio.h>

#include <array>
#include <climits>
#include <memory>

#include "pump/segmenter.h"
#include "wire/ip.h"
#include "wire/virtio_net.h"

namespace hopsack {

class Coalescer {
 public:
  static constexpr size_t kMaxPackets = IOV_MAX - 2;  // all of them fit one write, behind its two headers
  static constexpr size_t kMaxSuperPacketBytes = 65535;
  static constexpr size_t kMaxUdpSegments = 64;  // UDP_MAX_SEGMENTS before Linux 6.9

  struct Options {
    bool tcp;
    bool udp;  // needs a kernel that knows VIRTIO_NET_HDR_GSO_UDP_L4
  };

  /** One write to the TUN: `iov` begins with the virtio_net_hdr. */
  struct Write {
    const iovec* iov;
    size_t iov_count;
    size_t bytes;    // without the virtio_net_hdr
    size_t packets;  // more than one: a super-packet
    bool is_whole;   // the super-packet came in as one
  };

  explicit Coalescer(Options options);

  bool full() const { return packet_count_ == kMaxPackets; }
  size_t item_count() const { return item_count_; }

  /**
   * Takes a packet; order within a flow is kept. Not when full().
   * `gso_size`: payload of each segment of a packet that came in whole, 0 for all others.
   */
  void Add(const IpPacket& packet, size_t gso_size = 0);

  /** The write for item 0 … item_count()-1; valid until the next call. */
  Write Build(size_t item);

  /** visit(packet, gso_size) with the packets of an item as Add got them: for when the kernel refuses the super-packet.
   */
  template <typename Visitor>
  void ForEachPacket(size_t item, Visitor visit) const {
    for (uint32_t i = items_[item].first; i != kNone; i = packets_[i].next) {
      visit(packets_[i].packet, items_[item].whole_gso_size);
    }
  }

  void Clear();

  /** Merges nothing from the next packet on. */
  void Disable() { options_ = {false, false}; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kFlowSlots = 256;

  struct Entry {
    IpPacket packet;
    uint32_t next;
  };

  struct Item {
    uint32_t first, last;  // entries
    uint32_t packets;
    uint32_t bytes;  // of the super-packet
    uint16_t l4_offset, header_bytes, gso_size;
    uint16_t whole_gso_size;
    uint32_t next_sequence;  // TCP
    uint16_t next_ip_id;
    bool is_tcp;
    bool open;      // may still grow
    bool verified;  // the first packet's checksums have been looked at, and are right or unfinished
  };

  /** What Add needs to know about a packet that might be merged. */
  struct Candidate {
    uint16_t l4_offset, header_bytes, payload_bytes;
    bool is_tcp;
    bool is_last;  // PSH: nothing may follow
  };

  struct FlowSlot {
    uint64_t generation;
    uint32_t item;
  };

  /** @param packet has ports */
  bool Classify(const IpPacket& packet, Candidate* candidate, bool* seals_flow) const;
  bool ClassifyTcp(const IpPacket& packet, Candidate* candidate, bool* seals_flow) const;
  bool ClassifyUdp(const IpPacket& packet, Candidate* candidate) const;
  bool TryAppend(Item& item, const IpPacket& packet, const Candidate& candidate);
  bool SameFlow(const Item& item, const IpPacket& packet) const;
  bool HeadersMatch(const Item& item, const IpPacket& packet, const Candidate& candidate) const;
  uint32_t NewItem(const IpPacket& packet, size_t gso_size);
  void OpenItem(uint32_t index, const IpPacket& packet, const Candidate& candidate);
  uint32_t NewEntry(const IpPacket& packet);
  FlowSlot& FindFlow(const IpPacket& packet);
  Write BuildSingle(const Item& item);
  void FillHeader(const Item& item);

  Options options_;
  size_t packet_count_ = 0;
  size_t item_count_ = 0;
  uint64_t generation_ = 1;  // 32 bits come round within hours, and then a slot long unused looks current
  std::unique_ptr<Entry[]> packets_;
  std::unique_ptr<Item[]> items_;
  std::array<FlowSlot, kFlowSlots> flows_{};
  VirtioNetHeader offload_header_{};
  std::array<uint8_t, kMaxInnerHeaderBytes> header_;
  std::unique_ptr<iovec[]> iov_;
};

}  // namespace hopsack
