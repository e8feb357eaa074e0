#include "io/ipip_socket.h"

#include <sys/socket.h>

#include "io/handed_over.h"
#include "io/system_error.h"

namespace hopsack {

IpipSocket::IpipSocket(in_addr local)
    : TunnelSocket(UniqueFd(Check(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_IPIP), "socket"))) {
  SetOptions();
  const sockaddr_in address = {AF_INET, 0, local, {}};
  Check(bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

IpipSocket::IpipSocket(UniqueFd handed_over, in_addr local) : TunnelSocket(std::move(handed_over)) {
  if (Protocol() != IPPROTO_IPIP) throw UnusableDescriptor("it is no socket of IP protocol 4");
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  Check(getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  if (bound.sin_family != AF_INET || bound.sin_addr.s_addr != local.s_addr) {
    throw UnusableDescriptor("the socket of IP protocol 4 is bound to another address");
  }
  SetFlags();
  SetOptions();
}

IpipSocket OpenFragmentingIpipSocket(in_addr local) {
  IpipSocket socket(local);
  socket.RefuseInput();
  constexpr int kNever = IP_PMTUDISC_DONT;
  Check(setsockopt(socket.fd(), IPPROTO_IP, IP_MTU_DISCOVER, &kNever, sizeof kNever), "IP_MTU_DISCOVER");
  return socket;
}

}  // namespace hopsack
