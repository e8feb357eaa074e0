// The tunnel's UDP socket on the underlay.
#pragma once

#include <netinet/in.h>

#include <vector>

#include "io/tunnel_socket.h"

namespace hopsack {

class UdpSocket : public TunnelSocket {
 public:
  /** @throws SystemError: EADDRINUSE, EADDRNOTAVAIL */
  explicit UdpSocket(const sockaddr_in& local);

  /**
   * Goes on with the socket that is open as `handed_over`, with what is queued in it.
   * @throws UnusableDescriptor when it is no UDP socket, or bound elsewhere
   */
  UdpSocket(UniqueFd handed_over, const sockaddr_in& local);
};

/**
 * `count` sockets that only send, on ports of their own at `local`'s address: above Linux's ephemeral ports, within the
 * range of RFC 7348 section 5. @throws SystemError when too few of them are free
 */
std::vector<UdpSocket> OpenFlowSockets(sockaddr_in local, size_t count);

/** The MTU of the path to `peer`, IP header included, as the kernel knows it now; 0 when it knows no route. */
int PathMtu(const sockaddr_in& peer);

}  // namespace hopsack
