#include "io/udp_socket.h"

#include <sys/socket.h>

#include "io/handed_over.h"
#include "io/system_error.h"

namespace hopsack {
namespace {

// Ephemeral ports end at 60999, unless somebody changed net.ipv4.ip_local_port_range.
constexpr unsigned kFirstFlowPort = 61000, kLastFlowPort = 65535;

}  // namespace

UdpSocket::UdpSocket(const sockaddr_in& local)
    : TunnelSocket(UniqueFd(Check(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"))) {
  SetOptions();
  Check(bind(fd(), reinterpret_cast<const sockaddr*>(&local), sizeof local), "bind");
}

UdpSocket::UdpSocket(UniqueFd handed_over, const sockaddr_in& local) : TunnelSocket(std::move(handed_over)) {
  if (Protocol() != IPPROTO_UDP) throw UnusableDescriptor("it is no UDP socket");
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  Check(getsockname(fd(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  if (bound.sin_family != AF_INET || bound.sin_port != local.sin_port ||
      bound.sin_addr.s_addr != local.sin_addr.s_addr) {
    throw UnusableDescriptor("the UDP socket is bound to another address or port");
  }
  SetFlags();
  SetOptions();
}

std::vector<UdpSocket> OpenFlowSockets(sockaddr_in local, size_t count) {
  std::vector<UdpSocket> sockets;
  for (unsigned port = kFirstFlowPort; sockets.size() < count; port++) {
    local.sin_port = htons(static_cast<uint16_t>(port));
    try {
      sockets.emplace_back(local);
      sockets.back().RefuseInput();
    } catch (const SystemError& error) {
      if (error.error() != EADDRINUSE || port == kLastFlowPort) throw;
    }
  }
  return sockets;
}

int PathMtu(const sockaddr_in& peer) {
  const UniqueFd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  int mtu = 0;
  socklen_t length = sizeof mtu;
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) return 0;
  if (getsockopt(probe.get(), IPPROTO_IP, IP_MTU, &mtu, &length) != 0) return 0;
  return mtu;
}

}  // namespace hopsack
