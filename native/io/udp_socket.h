// The tunnel's UDP socket on the underlay: IPv4, unconnected, never blocking, DF set. Knows no payload.
#pragma once

#include <netinet/in.h>

#include <vector>

#include "io/unique_fd.h"

namespace hopsack {

class UdpSocket {
 public:
  /** @throws SystemError: EADDRINUSE, EADDRNOTAVAIL */
  explicit UdpSocket(const sockaddr_in& local);

  /**
   * Goes on with the socket that is open as `handed_over`, with what is queued in it.
   * @throws UnusableDescriptor when it is no UDP socket, or bound elsewhere
   */
  UdpSocket(UniqueFd handed_over, const sockaddr_in& local);

  /** Whether sends may carry UDP_SEGMENT (Linux 4.18, and not a release known to mangle it). */
  bool SupportsGso() const;

  /** Switches UDP_GRO for receives (used from Linux 5.12 on); whether it is on now. */
  bool SetGro(bool wanted);

  /** Throws away whatever arrives: for a socket that only sends. @throws SystemError */
  void RefuseInput();

  int fd() const { return fd_.get(); }
  /** The local one, in host byte order. */
  uint16_t port() const;

 private:
  void SetOptions();

  UniqueFd fd_;
};

/**
 * `count` sockets that only send, on ports of their own at `local`'s address: above Linux's ephemeral ports, within the
 * range of RFC 7348 section 5. @throws SystemError when too few of them are free
 */
std::vector<UdpSocket> OpenFlowSockets(sockaddr_in local, size_t count);

/** The MTU of the path to `peer`, IP header included, as the kernel knows it now; 0 when it knows no route. */
int PathMtu(const sockaddr_in& peer);

}  // namespace hopsack
