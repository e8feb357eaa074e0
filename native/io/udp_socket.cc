#include "io/udp_socket.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <cstdio>
#include <tuple>

#include "io/handed_over.h"
#include "io/system_error.h"

namespace hopsack {
namespace {

constexpr int kSocketBufferBytes = 7 << 20;
// Ephemeral ports end at 60999, unless somebody changed net.ipv4.ip_local_port_range.
constexpr unsigned kFirstFlowPort = 61000, kLastFlowPort = 65535;

using KernelVersion = std::tuple<unsigned, unsigned, unsigned>;

KernelVersion RunningKernel() {
  utsname name{};
  unsigned major = 0, minor = 0, patch = 0;
  if (uname(&name) == 0) std::sscanf(name.release, "%u.%u.%u", &major, &minor, &patch);  // NOLINT(cert-err34-c)
  return {major, minor, patch};
}

int SetOption(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

/** Beyond net.core.{r,w}mem_max with CAP_NET_ADMIN, up to it without. */
void SetBuffer(int fd, int force_option, int option) {
  if (SetOption(fd, SOL_SOCKET, force_option, kSocketBufferBytes) != 0) {
    SetOption(fd, SOL_SOCKET, option, kSocketBufferBytes);
  }
}

}  // namespace

UdpSocket::UdpSocket(const sockaddr_in& local)
    : fd_(Check(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")) {
  SetOptions();
  Check(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local), "bind");
}

UdpSocket::UdpSocket(UniqueFd handed_over, const sockaddr_in& local) : fd_(std::move(handed_over)) {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_UDP) {
    throw UnusableDescriptor("it is no UDP socket");
  }
  sockaddr_in bound{};
  length = sizeof bound;
  Check(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  if (bound.sin_family != AF_INET || bound.sin_port != local.sin_port ||
      bound.sin_addr.s_addr != local.sin_addr.s_addr) {
    throw UnusableDescriptor("the UDP socket is bound to another address or port");
  }
  Check(fcntl(fd_.get(), F_SETFD, FD_CLOEXEC), "F_SETFD");
  Check(fcntl(fd_.get(), F_SETFL, O_NONBLOCK), "F_SETFL");
  SetOptions();
}

void UdpSocket::SetOptions() {
  SetBuffer(fd_.get(), SO_RCVBUFFORCE, SO_RCVBUF);
  SetBuffer(fd_.get(), SO_SNDBUFFORCE, SO_SNDBUF);
  Check(SetOption(fd_.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), "IP_MTU_DISCOVER");
  Check(SetOption(fd_.get(), IPPROTO_IP, IP_RECVTOS, 1), "IP_RECVTOS");
  Check(SetOption(fd_.get(), SOL_SOCKET, SO_RXQ_OVFL, 1), "SO_RXQ_OVFL");
}

bool UdpSocket::SupportsGso() const {
  // 7.0 to 7.1.4 mangle headers of equal-length runs (fixed by kernel commit 78effd8).
  const KernelVersion kernel = RunningKernel();
  if (kernel >= KernelVersion{7, 0, 0} && kernel <= KernelVersion{7, 1, 4}) return false;
  return SetOption(fd_.get(), SOL_UDP, UDP_SEGMENT, 0) == 0;
}

bool UdpSocket::SetGro(bool wanted) {
  if (RunningKernel() < KernelVersion{5, 12, 0}) return false;
  return SetOption(fd_.get(), SOL_UDP, UDP_GRO, wanted ? 1 : 0) == 0 && wanted;
}

uint16_t UdpSocket::port() const {
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  Check(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  return ntohs(bound.sin_port);
}

void UdpSocket::RefuseInput() {
  sock_filter refuse_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program = {1, refuse_all};
  Check(setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), "SO_ATTACH_FILTER");
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
