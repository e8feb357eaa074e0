#include "io/tunnel_socket.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <cstdio>
#include <tuple>

#include "io/system_error.h"

namespace hopsack {
namespace {

constexpr int kSocketBufferBytes = 7 << 20;

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

int TunnelSocket::Protocol() const {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  return getsockopt(fd(), SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 ? protocol : -1;
}

void TunnelSocket::SetFlags() {
  Check(fcntl(fd(), F_SETFD, FD_CLOEXEC), "F_SETFD");
  Check(fcntl(fd(), F_SETFL, O_NONBLOCK), "F_SETFL");
}

void TunnelSocket::SetOptions() {
  SetBuffer(fd(), SO_RCVBUFFORCE, SO_RCVBUF);
  SetBuffer(fd(), SO_SNDBUFFORCE, SO_SNDBUF);
  Check(SetOption(fd(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), "IP_MTU_DISCOVER");
  Check(SetOption(fd(), IPPROTO_IP, IP_RECVTOS, 1), "IP_RECVTOS");
  Check(SetOption(fd(), SOL_SOCKET, SO_RXQ_OVFL, 1), "SO_RXQ_OVFL");
}

bool TunnelSocket::SupportsGso() const {
  // 7.0 to 7.1.4 mangle headers of equal-length runs (fixed by kernel commit 78effd8).
  const KernelVersion kernel = RunningKernel();
  if (kernel >= KernelVersion{7, 0, 0} && kernel <= KernelVersion{7, 1, 4}) return false;
  return SetOption(fd(), SOL_UDP, UDP_SEGMENT, 0) == 0;
}

bool TunnelSocket::SetGro(bool wanted) {
  if (RunningKernel() < KernelVersion{5, 12, 0}) return false;
  return SetOption(fd(), SOL_UDP, UDP_GRO, wanted ? 1 : 0) == 0 && wanted;
}

uint16_t TunnelSocket::port() const {
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  Check(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  return ntohs(bound.sin_port);
}

void TunnelSocket::RefuseInput() {
  sock_filter refuse_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program = {1, refuse_all};
  Check(setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), "SO_ATTACH_FILTER");
}

}  // namespace hopsack
