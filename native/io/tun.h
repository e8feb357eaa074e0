// A TUN device (/dev/net/tun): one read gives one packet, one write takes one. Knows no header but the
// virtio_net_hdr's length. Addresses, routes and MTU are the control plane's business.
#pragma once

#include <string>

#include "io/unique_fd.h"

namespace hopsack {

class Tun {
 public:
  struct Offloads {
    bool tso;
    bool uso;
  };

  /**
   * Creates the device, or takes over a persistent one of this name; IFF_NO_PI, and IFF_VNET_HDR when `vnet_header`.
   * @throws SystemError: EBUSY when another process has it open, ENOENT/ENODEV without /dev/net/tun, EPERM
   */
  Tun(const std::string& name, bool vnet_header);

  /**
   * Goes on with the device that is open as `handed_over`, with what is queued in it.
   * @throws UnusableDescriptor when it is no TUN device, or another one than Tun(name, vnet_header) would be
   */
  Tun(UniqueFd handed_over, const std::string& name, bool vnet_header);

  /** Asks for super-packets; what the kernel does not know is left out (USO needs Linux 6.2). Returns what it granted.
   */
  Offloads SetOffloads(Offloads wanted);

  /** Whether the kernel accepts a coalesced write. Only while the device is down: the probe packet must go nowhere. */
  bool AcceptsGsoWrites() const;

  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  unsigned if_index() const { return if_index_; }

 private:
  UniqueFd fd_;
  std::string name_;
  unsigned if_index_;
};

}  // namespace hopsack
