// bpf(2): maps, programs, and where they are attached. Knows no header and no program.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>

#include "io/unique_fd.h"

namespace hopsack {

struct BpfMapShape {
  bpf_map_type type;
  uint32_t key_bytes;
  uint32_t value_bytes;
  uint32_t max_entries;
};

/** Where a program's instructions want the descriptor of a map, or the address of what lies in its only entry. */
struct BpfMapUse {
  size_t instruction;
  int map_fd;
  bool is_address;
};

enum class BpfHook { kIngress, kEgress };

/** @throws SystemError: EPERM without CAP_BPF, ENOSYS or EINVAL where the kernel has no such map */
UniqueFd CreateBpfMap(const BpfMapShape& shape, const char* name);

/**
 * A map of one entry that nobody can change any more: the verifier knows what a program reads in it. @throws
 * SystemError
 */
UniqueFd CreateBpfConstants(const void* value, uint32_t bytes, const char* name);

/** Of type SCHED_CLS. @throws SystemError: EPERM, or EINVAL/EACCES when the kernel's verifier refuses it */
UniqueFd LoadBpfProgram(std::span<const uint64_t> instructions, std::span<const BpfMapUse> maps, const char* name);

/**
 * Behind the programs that others have there, and gone with the descriptor, also when the process is killed (tcx,
 * Linux 6.6).
 * @throws SystemError: EINVAL on an older kernel, ENODEV, EPERM
 */
UniqueFd AttachBpfProgram(const UniqueFd& program, BpfHook hook, unsigned if_index);

/** @throws SystemError: ENOSPC when the map is full */
void SetBpfEntry(const UniqueFd& map, const void* key, const void* value);
/** That it is not there is no failure. @throws SystemError */
void DeleteBpfEntry(const UniqueFd& map, const void* key);
/** `value` has room for what the map's type gives: one value for each possible processor, or one. @throws SystemError
 */
void GetBpfEntry(const UniqueFd& map, const void* key, void* value);

/** How many values an entry of a per-processor map has. */
size_t PossibleProcessors();

}  // namespace hopsack
