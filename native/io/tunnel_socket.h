// What the tunnel's sockets on the underlay have in common: IPv4, unconnected, never blocking, DF set. Knows no
// payload. Made as a UdpSocket or an IpipSocket.
#pragma once

#include <cstdint>

#include "io/unique_fd.h"

namespace hopsack {

class TunnelSocket {
 public:
  /** Whether sends may carry UDP_SEGMENT (Linux 4.18, and not a release known to mangle it); never without UDP. */
  bool SupportsGso() const;

  /** Switches UDP_GRO for receives (used from Linux 5.12 on); whether it is on now. */
  bool SetGro(bool wanted);

  /** Throws away whatever arrives: for a socket that only sends. @throws SystemError */
  void RefuseInput();

  int fd() const { return fd_.get(); }
  /** The local one of UDP, in host byte order. */
  uint16_t port() const;

 protected:
  explicit TunnelSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  /** The protocol that the kernel says it is of; -1 when it is no socket. */
  int Protocol() const;
  /** For one that another process opened. */
  void SetFlags();
  void SetOptions();

 private:
  UniqueFd fd_;
};

}  // namespace hopsack
