// The kernel's shortcut beside the pump (accelerator.bpf.c): loads the programs, keeps their tables, reads
// what they counted. It carries only what it matches exactly; everything else goes to the pump, with it or without it.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bpf/layout.h"
#include "io/bpf.h"
#include "tables/fib.h"

namespace hopsack {

struct AcceleratorOptions {
  /** Address and port of the pump's socket. */
  sockaddr_in local;
  unsigned underlay_if_index;
  unsigned tun_if_index;
  /** Two joined links: what is sent out by the first arrives at the second, merged. 0: nothing is merged. */
  unsigned merging_if_index;
  unsigned merged_if_index;
  /** Of the outer IPv4 header: IPPROTO_UDP, or IPPROTO_IPIP. */
  uint8_t protocol;
  /** What of the inner type of service, or traffic class, is the outer one's too: ECN (RFC 6040), or all of it. */
  uint8_t tos_mask;
  /** Ports that the pump sends from; one or more, in UDP. */
  std::vector<uint16_t> source_ports;
  /** How many entries the count of peers' bytes has. */
  uint32_t peer_slots;
  /** Between the UDP header and the inner packet, at most ACCEL_HEADER_BYTES; the same in all routes. */
  uint32_t header_bytes;
  /** The last of them are an Ethernet header: network cards that segment in tunnels ask for it. */
  bool ends_in_ethernet;
  /** What those of an arriving datagram must be, in front of IPv4 and of IPv6. */
  accel_expected expected[2];
};

class Accelerator {
 public:
  /** X(name): what the programs count; the order is that of `accel_counts`. */
#define HOPSACK_ACCELERATOR_COUNTS(X) \
  X(tx_packets)                       \
  X(tx_bytes)                         \
  X(tx_super_packets)                 \
  X(tx_no_memory)                     \
  X(rx_packets)                       \
  X(rx_bytes)                         \
  X(rx_super_packets)                 \
  X(path_news)
  struct Counts {
#define X(name) uint64_t name = 0;
    HOPSACK_ACCELERATOR_COUNTS(X)
#undef X
  };

  /** Loaded, with no route. @throws SystemError named after the step that failed */
  explicit Accelerator(const AcceleratorOptions& options);

  /**
   * Puts the programs on their links, beside those that others have there; they go with this object, also when the
   * process is killed.
   * @throws SystemError BPF_LINK_CREATE, with EINVAL before Linux 6.6
   */
  void Attach();

  struct Doors {
    int in;
    int out;
    /** Not open where nothing is merged. */
    int merged;
  };
  /**
   * For kernels where Attach() fails: programs for the underlay's ingress, the TUN's egress and the ingress of the
   * link where packets arrive merged, that whoever attaches them may leave there. They lead to the real ones as long
   * as this object lives. @throws SystemError
   */
  Doors OpenDoors();

  /**
   * Makes the tables hold these routes. A packet goes where it went before or where it is to go now, never anywhere
   * else. After a failure that does not hold: the accelerator must be destroyed.
   * @param paths of src/dataplane/fib-records.ts, one for each next hop
   * @throws SystemError; std::invalid_argument for a route whose header has another length, and when the paths are too
   * few
   */
  void Publish(const FibRecords& records, ConstBytes paths);

  Counts ReadCounts() const;
  /** To and from the hosts whose next hops have this slot. @throws SystemError when there is none */
  accel_peer_bytes ReadPeerBytes(uint32_t slot) const;

 private:
  /** Key bytes → value bytes of a table, as the kernel has it. Keys begin with the prefix length: short ones first. */
  using Rows = std::map<std::string, std::string>;
  static void Replace(const UniqueFd& map, Rows& current, Rows wanted);

  AcceleratorOptions options_;
  UniqueFd settings_, routes_v4_, routes_v6_, counts_, peer_bytes_;
  UniqueFd in_program_, out_program_, merged_program_;
  // The last to go: until then the program on the way in may send packets there.
  UniqueFd merged_link_, in_link_, out_link_;
  UniqueFd programs_, in_door_, out_door_, merged_door_;
  Rows rows_v4_, rows_v6_;
};

}  // namespace hopsack
