#include "io/bpf.h"

#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "io/system_error.h"

namespace hopsack {
namespace {

// Linux 6.6; Debian 12's headers are older.
constexpr uint32_t kTcxIngress = 46, kTcxEgress = 47;
/** What the source register of a load says when the instruction's number is a map's descriptor. */
constexpr uint64_t kIsMapDescriptor = uint64_t{BPF_PSEUDO_MAP_FD} << 12;
constexpr uint64_t kIsMapAddress = uint64_t{BPF_PSEUDO_MAP_VALUE} << 12;
constexpr uint64_t kNumber = 0xffffffff00000000;  // of an instruction
/** Asked for only by functions that we do not call. */
constexpr char kLicense[] = "Apache-2.0";

int Bpf(bpf_cmd command, bpf_attr& attributes, const char* what) {
  return Check(static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes)), what);
}

template <typename T>
uint64_t Pointer(const T* p) {
  return reinterpret_cast<uint64_t>(p);
}

UniqueFd CreateMap(const BpfMapShape& shape, uint32_t flags, const char* name) {
  bpf_attr attributes{};
  attributes.map_type = shape.type;
  attributes.key_size = shape.key_bytes;
  attributes.value_size = shape.value_bytes;
  attributes.max_entries = shape.max_entries;
  attributes.map_flags = flags;
  std::strncpy(attributes.map_name, name, BPF_OBJ_NAME_LEN - 1);
  return UniqueFd(Bpf(BPF_MAP_CREATE, attributes, "BPF_MAP_CREATE"));
}

/** The descriptor goes where the number was; of an address that number is the offset, and goes into the second half. */
void PutMap(const BpfMapUse& use, std::vector<uint64_t>& code) {
  const uint64_t number = code.at(use.instruction) & kNumber;
  const uint64_t descriptor = static_cast<uint64_t>(static_cast<uint32_t>(use.map_fd)) << 32;
  code.at(use.instruction) ^= number | descriptor | (use.is_address ? kIsMapAddress : kIsMapDescriptor);
  if (use.is_address) code.at(use.instruction + 1) |= number;
}

}  // namespace

UniqueFd CreateBpfMap(const BpfMapShape& shape, const char* name) {
  return CreateMap(shape, shape.type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0, name);
}

UniqueFd CreateBpfConstants(const void* value, uint32_t bytes, const char* name) {
  UniqueFd map = CreateMap({BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), bytes, 1}, BPF_F_RDONLY_PROG, name);
  const uint32_t only_entry = 0;
  SetBpfEntry(map, &only_entry, value);
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map.get());
  Bpf(BPF_MAP_FREEZE, attributes, "BPF_MAP_FREEZE");
  return map;
}

UniqueFd LoadBpfProgram(std::span<const uint64_t> instructions, std::span<const BpfMapUse> maps, const char* name) {
  std::vector<uint64_t> code(instructions.begin(), instructions.end());
  for (const BpfMapUse& use : maps) PutMap(use, code);
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insns = Pointer(code.data());
  attributes.insn_cnt = static_cast<uint32_t>(code.size());
  attributes.license = Pointer(kLicense);
  std::strncpy(attributes.prog_name, name, BPF_OBJ_NAME_LEN - 1);
  return UniqueFd(Bpf(BPF_PROG_LOAD, attributes, "BPF_PROG_LOAD"));
}

UniqueFd AttachBpfProgram(const UniqueFd& program, BpfHook hook, unsigned if_index) {
  bpf_attr attributes{};
  attributes.link_create.prog_fd = static_cast<uint32_t>(program.get());
  attributes.link_create.target_ifindex = if_index;
  attributes.link_create.attach_type = hook == BpfHook::kIngress ? kTcxIngress : kTcxEgress;
  return UniqueFd(Bpf(BPF_LINK_CREATE, attributes, "BPF_LINK_CREATE"));
}

void SetBpfEntry(const UniqueFd& map, const void* key, const void* value) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map.get());
  attributes.key = Pointer(key);
  attributes.value = Pointer(value);
  Bpf(BPF_MAP_UPDATE_ELEM, attributes, "BPF_MAP_UPDATE_ELEM");
}

void DeleteBpfEntry(const UniqueFd& map, const void* key) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map.get());
  attributes.key = Pointer(key);
  if (syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attributes, sizeof attributes) != 0 && errno != ENOENT) {
    throw SystemError("BPF_MAP_DELETE_ELEM", errno);
  }
}

void GetBpfEntry(const UniqueFd& map, const void* key, void* value) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map.get());
  attributes.key = Pointer(key);
  attributes.value = Pointer(value);
  Bpf(BPF_MAP_LOOKUP_ELEM, attributes, "BPF_MAP_LOOKUP_ELEM");
}

size_t PossibleProcessors() {
  // `0-3`, or `0`: the last number counts, since the kernel leaves room for those in between.
  std::string text;
  std::ifstream("/sys/devices/system/cpu/possible") >> text;
  const size_t last = text.find_last_of("-,");
  unsigned highest = 0;
  if (std::sscanf(text.c_str() + (last == std::string::npos ? 0 : last + 1), "%u", &highest) !=
      1) {  // NOLINT(cert-err34-c)
    throw SystemError("/sys/devices/system/cpu/possible", ENOENT);
  }
  return highest + 1;
}

}  // namespace hopsack
