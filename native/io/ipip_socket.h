// The sockets of IP-in-IP (RFC 2003) on the underlay: raw ones of IP protocol 4. What is sent is the inner packet, what
// is received has the outer header in front, whole: the kernel has put fragments together.
#pragma once

#include <netinet/in.h>

#include "io/tunnel_socket.h"

namespace hopsack {

class IpipSocket : public TunnelSocket {
 public:
  /** Receives, and sends with DF. @throws SystemError: EPERM without CAP_NET_RAW, EADDRNOTAVAIL */
  explicit IpipSocket(in_addr local);

  /**
   * Goes on with the socket that is open as `handed_over`, with what is queued in it.
   * @throws UnusableDescriptor when it is no such socket, or bound elsewhere
   */
  IpipSocket(UniqueFd handed_over, in_addr local);
};

/** Sends without DF, and lets the kernel fragment; receives nothing. @throws SystemError */
IpipSocket OpenFragmentingIpipSocket(in_addr local);

}  // namespace hopsack
