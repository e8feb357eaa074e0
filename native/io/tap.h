// A tap device, the network card of a virtual machine as its host sees it: made here, opened again by what runs the
// machine.
#pragma once

#include <string>

#include "io/unique_fd.h"

namespace hopsack {

/**
 * Makes the device; it goes with the descriptor unless KeepTap() was called.
 * @throws SystemError: EBUSY or EINVAL when there is a device of this name, ENOENT/ENODEV without /dev/net/tun, EPERM
 */
UniqueFd MakeTap(const std::string& name);

/** @throws SystemError */
void KeepTap(int fd);

}  // namespace hopsack
