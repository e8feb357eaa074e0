// The forwarding table of the pump: prefix → next hop, and which senders are known. Built whole from what TypeScript
// published, never changed afterwards; a new table replaces the old one (FibPublisher).
#pragma once

#include <netinet/in.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "tables/lpm.h"
#include "wire/ip.h"

namespace hopsack {

inline constexpr size_t kMaxEncapBytes = 64;

/** Where packets for a prefix go, and the bytes that go in front of them. */
struct NextHop {
  sockaddr_in endpoint;
  uint32_t peer;  // whose bytes they are: a slot of SharedCounters
  uint16_t header_bytes;
  std::array<uint8_t, kMaxEncapBytes> header;
};

/** What TypeScript published, read: the pump's table and the accelerator's are both made of it. */
struct FibRecords {
  struct Route {
    std::array<uint8_t, 16> address;  // IPv4 in the first 4
    uint8_t family;                   // 4 or 6
    uint8_t length;
    uint32_t hop;  // index in next_hops
  };

  /**
   * Records of src/dataplane/fib-records.ts, little endian.
   * @throws std::invalid_argument when they do not fit each other: our own bug
   */
  FibRecords(ConstBytes next_hop_records, ConstBytes headers, ConstBytes route_records, ConstBytes own_records = {});

  std::vector<NextHop> next_hops;
  std::vector<Route> routes;
  std::vector<Route> own_subnets;  // of this host: no next hop
};

class Fib {
 public:
  Fib() = default;
  explicit Fib(FibRecords records);
  /** @throws std::invalid_argument as FibRecords does */
  Fib(ConstBytes next_hops, ConstBytes headers, ConstBytes routes, ConstBytes own_subnets = {})
      : Fib(FibRecords(next_hops, headers, routes, own_subnets)) {}

  /** nullptr: no prefix covers the address. */
  const NextHop* Lookup(const IpPacket& packet, const uint8_t* address) const {
    const uint32_t hop = packet.is_v6 ? v6_.Lookup(LoadIpv6(address)) : v4_.Lookup(LoadBe32(address));
    return hop == kNoRoute ? nullptr : &next_hops_[hop];
  }

  /** Whether the address lies in a subnet of this host: what may be delivered here. */
  bool IsOwn(const IpPacket& packet, const uint8_t* address) const;

  /** A next hop with this address (network byte order); nullptr: there is none. */
  const NextHop* FindPeer(in_addr_t address) const;

  size_t route_count() const { return route_count_; }
  /** One more than the highest slot of a peer. */
  size_t peer_slots() const { return peer_slots_; }

 private:
  std::vector<NextHop> next_hops_;
  std::vector<FibRecords::Route> own_subnets_;  // two at most, one of each family
  std::vector<uint32_t> by_address_;            // indexes of next_hops_
  Lpm<uint32_t> v4_;
  Lpm<Ipv6Bits> v6_;
  size_t route_count_ = 0;
  size_t peer_slots_ = 0;
};

/**
 * Hands out the current table without locks: a reader announces which table it uses, the publisher frees a replaced
 * table only when no reader announces it any more (hazard pointers, Michael 2004).
 */
class FibPublisher {
 public:
  static constexpr size_t kMaxReaders = 4;

  FibPublisher() : current_(new Fib) {}
  ~FibPublisher();
  FibPublisher(const FibPublisher&) = delete;
  FibPublisher& operator=(const FibPublisher&) = delete;

  /** From one thread only. */
  void Publish(std::unique_ptr<const Fib> fib);

  /** The table stays valid until this reader's Release or next Acquire. */
  const Fib* Acquire(size_t reader) {
    const Fib* fib = current_.load(std::memory_order_acquire);
    for (;;) {
      in_use_[reader].fib.store(fib, std::memory_order_seq_cst);
      const Fib* again = current_.load(std::memory_order_seq_cst);
      if (again == fib) return fib;
      fib = again;
    }
  }
  void Release(size_t reader) { in_use_[reader].fib.store(nullptr, std::memory_order_release); }

  /** Replaced tables that a reader still held at the last Publish. */
  size_t retired_count() const { return retired_.size(); }

 private:
  void FreeRetired();

  struct alignas(64) InUse {
    std::atomic<const Fib*> fib{nullptr};
  };
  std::atomic<const Fib*> current_;
  std::array<InUse, kMaxReaders> in_use_;
  std::vector<std::unique_ptr<const Fib>> retired_;
};

}  // namespace hopsack
