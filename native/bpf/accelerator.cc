#include "bpf/accelerator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bpf/layout.h"
#include "io/udp_socket.h"

namespace hopsack {
namespace {

enum class AcceleratorMap : uint8_t { settings, routes_v4, routes_v6, counts, programs };

/** Which map an instruction is about. */
struct MapPlace {
  size_t instruction;
  AcceleratorMap map;
};

#include "bpf/programs.inc"

constexpr uint32_t kMaxRoutes = 1 << 17;
constexpr uint32_t kOnlyEntry = 0;

UniqueFd MakeTable(uint32_t key_bytes, const char* name) {
  return CreateBpfMap({BPF_MAP_TYPE_LPM_TRIE, key_bytes, sizeof(accel_peer), kMaxRoutes}, name);
}

/** @param fds of the maps, in the order of AcceleratorMap */
UniqueFd Load(std::span<const uint64_t> code, std::span<const MapPlace> places, std::span<const int> fds,
              const char* name) {
  std::vector<BpfMapUse> uses;
  for (const MapPlace& place : places) uses.push_back({place.instruction, fds[static_cast<size_t>(place.map)]});
  return LoadBpfProgram(code, uses, name);
}

template <typename T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

uint16_t MtuTo(const sockaddr_in& peer) {
  return static_cast<uint16_t>(std::min(PathMtu(peer), 0xffff));
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
      settings_(CreateBpfMap({BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(accel_settings), 1}, "hopsack_set")),
      routes_v4_(MakeTable(sizeof(accel_route_v4), "hopsack_v4")),
      routes_v6_(MakeTable(sizeof(accel_route_v6), "hopsack_v6")),
      counts_(CreateBpfMap({BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), sizeof(accel_counts), 1}, "hopsack_count")) {
  const accel_settings settings = {options.local.sin_addr.s_addr, options.local.sin_port, 0, options.underlay_if_index,
                                   options.tun_if_index};
  SetBpfEntry(settings_, &kOnlyEntry, &settings);
  const std::array<int, 4> fds = {settings_.get(), routes_v4_.get(), routes_v6_.get(), counts_.get()};
  in_program_ = Load(kInProgram, kInProgramMaps, fds, "hopsack_in");
  out_program_ = Load(kOutProgram, kOutProgramMaps, fds, "hopsack_out");
}

void Accelerator::Attach() {
  in_link_ = AttachBpfProgram(in_program_, BpfHook::kIngress, options_.underlay_if_index);
  out_link_ = AttachBpfProgram(out_program_, BpfHook::kEgress, options_.tun_if_index);
}

Accelerator::Doors Accelerator::OpenDoors() {
  programs_ = CreateBpfMap({BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t), sizeof(int), ACCEL_DIRECTIONS}, "hopsack_progs");
  const auto place = [this](uint32_t direction, const UniqueFd& program) {
    const int fd = program.get();
    SetBpfEntry(programs_, &direction, &fd);
  };
  place(ACCEL_IN, in_program_);
  place(ACCEL_OUT, out_program_);
  const std::array<int, 5> fds = {-1, -1, -1, -1, programs_.get()};
  in_door_ = Load(kInDoor, kInDoorMaps, fds, "hopsack_door_in");
  out_door_ = Load(kOutDoor, kOutDoorMaps, fds, "hopsack_door_out");
  return {in_door_.get(), out_door_.get()};
}

void Accelerator::Publish(const FibRecords& records) {
  Rows v4, v6;
  std::vector<std::optional<uint16_t>> mtus(records.next_hops.size());
  for (const FibRecords::Route& route : records.routes) {
    const NextHop& hop = records.next_hops[route.hop];
    if (hop.header_bytes != 0) throw std::invalid_argument("the accelerator puts no header bytes in front");
    std::optional<uint16_t>& mtu = mtus[route.hop];
    if (!mtu.has_value()) mtu = route.is_on_link ? MtuTo(hop.endpoint) : uint16_t{0};
    const accel_peer peer = {hop.endpoint.sin_addr.s_addr, hop.endpoint.sin_port, *mtu};
    if (route.family == 4) v4[KeyOf<accel_route_v4>(route)] = BytesOf(peer);
    if (route.family == 6) v6[KeyOf<accel_route_v6>(route)] = BytesOf(peer);
  }
  Replace(routes_v4_, rows_v4_, std::move(v4));
  Replace(routes_v6_, rows_v6_, std::move(v6));
}

/**
 * Row by row, so that at every moment each address has its row of before or its row of now: what is wanted comes first,
 * long prefixes before the short ones that hold them, and what is not goes afterwards, short prefixes first.
 */
void Accelerator::Replace(const UniqueFd& map, Rows& current, Rows wanted) {
  for (const auto& [key, value] : std::views::reverse(wanted)) {
    const auto known = current.find(key);
    if (known == current.end() || known->second != value) SetBpfEntry(map, key.data(), value.data());
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

}  // namespace hopsack
