#include "bpf/accelerator.h"

#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

namespace hopsack {
namespace {

enum class AcceleratorMap : uint8_t { settings, routes_v4, routes_v6, counts, peer_bytes, programs };

/** Which map an instruction is about. */
struct MapPlace {
  size_t instruction;
  AcceleratorMap map;
};

#include "bpf/programs.inc"

static_assert(kMaxEncapBytes <= ACCEL_HEADER_BYTES);

constexpr uint32_t kMaxRoutes = 1 << 17;
constexpr uint32_t kEthernetBytes = 14;
constexpr uint32_t kOnlyEntry = 0;

UniqueFd MakeTable(uint32_t key_bytes, const char* name) {
  return CreateBpfMap({BPF_MAP_TYPE_LPM_TRIE, key_bytes, sizeof(accel_peer), kMaxRoutes}, name);
}

/** @param fds of the maps, in the order of AcceleratorMap */
UniqueFd Load(std::span<const uint64_t> code, std::span<const MapPlace> places, std::span<const int> fds,
              const char* name) {
  std::vector<BpfMapUse> uses;
  for (const MapPlace& place : places) {
    const bool is_address = place.map == AcceleratorMap::settings;
    uses.push_back({place.instruction, fds[static_cast<size_t>(place.map)], is_address});
  }
  return LoadBpfProgram(code, uses, name);
}

template <typename T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/** Flags of bpf_skb_adjust_room: a super-packet stays one, and whoever cuts it later finds its headers. */
uint64_t RoomFlags(const AcceleratorOptions& options) {
  uint64_t flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
  if (options.protocol == IPPROTO_UDP) flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
  if (options.ends_in_ethernet) flags |= BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(kEthernetBytes);
  return flags;
}

accel_settings SettingsOf(const AcceleratorOptions& options) {
  accel_settings settings{};
  settings.local_address = options.local.sin_addr.s_addr;
  settings.port = options.local.sin_port;
  settings.protocol = options.protocol;
  settings.outer_bytes = sizeof(iphdr) + (options.protocol == IPPROTO_UDP ? sizeof(udphdr) : 0);
  settings.underlay_if_index = options.underlay_if_index;
  settings.tun_if_index = options.tun_if_index;
  settings.merging_if_index = options.merging_if_index;
  settings.room_flags = RoomFlags(options);
  settings.header_bytes = options.header_bytes;
  settings.tos_mask = options.tos_mask;
  const std::vector<uint16_t>& ports = options.source_ports;
  settings.source_port_mask = ports.size() > 1 ? ACCEL_SOURCE_PORTS - 1 : 0;
  for (size_t i = 0; i < ACCEL_SOURCE_PORTS && !ports.empty(); i++) {
    settings.source_ports[i] = htons(ports[i % ports.size()]);
  }
  std::ranges::copy(options.expected, settings.expected);
  return settings;
}

// Layout of the records; the same numbers stand in src/dataplane/fib-records.ts.
constexpr size_t kPathRecordBytes = 8;  // neighbour 4, MTU 2, unused 2
constexpr size_t kPathMtuOffset = 4;

/** @param path its record; all zero: nothing reaches it */
accel_peer PeerOf(const NextHop& hop, const uint8_t* path) {
  accel_peer peer = {hop.endpoint.sin_addr.s_addr, 0, hop.endpoint.sin_port, 0, hop.peer, {}};
  std::memcpy(&peer.neighbor, path, sizeof peer.neighbor);
  std::memcpy(&peer.mtu, path + kPathMtuOffset, sizeof peer.mtu);
  std::ranges::copy(hop.header, peer.header);
  return peer;
}

template <typename Key>
std::string KeyOf(const FibRecords::Route& route) {
  Key key{};
  key.prefix_bits = route.length;
  std::memcpy(key.address, route.address.data(), sizeof key.address);
  return BytesOf(key);
}

}  // namespace

Accelerator::Accelerator(const AcceleratorOptions& options)
    : options_(options),
      routes_v4_(MakeTable(sizeof(accel_route_v4), "hopsack_v4")),
      routes_v6_(MakeTable(sizeof(accel_route_v6), "hopsack_v6")),
      counts_(CreateBpfMap({BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), sizeof(accel_counts), 1}, "hopsack_count")),
      peer_bytes_(
          CreateBpfMap({BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), sizeof(accel_peer_bytes), options.peer_slots},
                       "hopsack_peers")) {
  const accel_settings settings = SettingsOf(options);
  settings_ = CreateBpfConstants(&settings, sizeof settings, "hopsack_set");
  const std::array<int, 5> fds = {settings_.get(), routes_v4_.get(), routes_v6_.get(), counts_.get(),
                                  peer_bytes_.get()};
  in_program_ = Load(kInProgram, kInProgramMaps, fds, "hopsack_in");
  out_program_ = Load(kOutProgram, kOutProgramMaps, fds, "hopsack_out");
  if (options.merged_if_index != 0) merged_program_ = Load(kMergedProgram, kMergedProgramMaps, fds, "hopsack_merged");
}

void Accelerator::Attach() {
  if (merged_program_) {
    merged_link_ = AttachBpfProgram(merged_program_, BpfHook::kIngress, options_.merged_if_index);
  }
  in_link_ = AttachBpfProgram(in_program_, BpfHook::kIngress, options_.underlay_if_index);
  out_link_ = AttachBpfProgram(out_program_, BpfHook::kEgress, options_.tun_if_index);
}

Accelerator::Doors Accelerator::OpenDoors() {
  programs_ = CreateBpfMap({BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t), sizeof(int), ACCEL_PROGRAMS}, "hopsack_progs");
  const auto place = [this](uint32_t which, const UniqueFd& program) {
    const int fd = program.get();
    SetBpfEntry(programs_, &which, &fd);
  };
  place(ACCEL_IN, in_program_);
  place(ACCEL_OUT, out_program_);
  if (merged_program_) place(ACCEL_MERGED, merged_program_);
  const std::array<int, 6> fds = {-1, -1, -1, -1, -1, programs_.get()};
  in_door_ = Load(kInDoor, kInDoorMaps, fds, "hopsack_door_in");
  out_door_ = Load(kOutDoor, kOutDoorMaps, fds, "hopsack_door_out");
  if (merged_program_) merged_door_ = Load(kMergedDoor, kMergedDoorMaps, fds, "hopsack_door_mg");
  return {in_door_.get(), out_door_.get(), merged_door_.get()};
}

void Accelerator::Publish(const FibRecords& records, ConstBytes paths) {
  if (paths.size() != records.next_hops.size() * kPathRecordBytes) {
    throw std::invalid_argument("not one path for each next hop");
  }
  Rows v4, v6;
  const auto put = [&v4, &v6](const FibRecords::Route& route, const accel_peer& peer) {
    if (route.family == 4) v4[KeyOf<accel_route_v4>(route)] = BytesOf(peer);
    if (route.family == 6) v6[KeyOf<accel_route_v6>(route)] = BytesOf(peer);
  };
  for (const FibRecords::Route& route : records.routes) {
    const NextHop& hop = records.next_hops[route.hop];
    if (hop.header_bytes != options_.header_bytes)
      throw std::invalid_argument("a route whose header has another length");
    put(route, PeerOf(hop, paths.data() + route.hop * kPathRecordBytes));
  }
  for (const FibRecords::Route& subnet : records.own_subnets) put(subnet, accel_peer{ACCEL_OWN, 0, 0, 0, 0, {}});
  Replace(routes_v4_, rows_v4_, std::move(v4));
  Replace(routes_v6_, rows_v6_, std::move(v6));
}

/**
 * Row by row, so that at every moment each address has its row of before or its row of now: what is wanted comes first,
 * long prefixes before the short ones that hold them, and what is not goes afterwards, short prefixes first.
 */
void Accelerator::Replace(const UniqueFd& map, Rows& current, Rows wanted) {
  for (auto row = wanted.rbegin(); row != wanted.rend(); ++row) {
    const auto known = current.find(row->first);
    if (known == current.end() || known->second != row->second) SetBpfEntry(map, row->first.data(), row->second.data());
  }
  for (const auto& [key, value] : current) {
    if (!wanted.contains(key)) DeleteBpfEntry(map, key.data());
  }
  current = std::move(wanted);
}

Accelerator::Counts Accelerator::ReadCounts() const {
  std::vector<accel_counts> each(PossibleProcessors());
  GetBpfEntry(counts_, &kOnlyEntry, each.data());
  Counts sum;
  for (const accel_counts& counts : each) {
#define X(name) sum.name += counts.name;
    HOPSACK_ACCELERATOR_COUNTS(X)
#undef X
  }
  return sum;
}

accel_peer_bytes Accelerator::ReadPeerBytes(uint32_t slot) const {
  std::vector<accel_peer_bytes> each(PossibleProcessors());
  GetBpfEntry(peer_bytes_, &slot, each.data());
  accel_peer_bytes sum{};
  for (const accel_peer_bytes& bytes : each) {
    sum.sent += bytes.sent;
    sum.received += bytes.received;
  }
  return sum;
}

}  // namespace hopsack
