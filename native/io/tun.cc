#include "io/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "io/handed_over.h"
#include "io/system_error.h"

// Linux 6.2; Debian 12's headers are older.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace hopsack {
namespace {

constexpr int kVnetHeaderBytes = 10;

/** Two TCP segments of one byte each as one super-packet, TTL 0, 192.0.2.1 to itself (RFC 5737). */
constexpr uint8_t kGsoProbe[] = {
    // virtio_net_hdr: needs checksum, TCPv4, hdr_len 40, gso_size 1, csum_start 20, csum_offset 16
    1, 1, 40, 0, 1, 0, 20, 0, 16, 0,
    // IPv4
    0x45, 0, 0, 42, 0, 0, 0x40, 0, 0, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1,
    // TCP: ACK
    0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0,
    // payload
    0, 0};

}  // namespace

Tun::Tun(const std::string& name, bool vnet_header)
    : fd_(Check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "open")) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<int16_t>(IFF_TUN | IFF_NO_PI | (vnet_header ? IFF_VNET_HDR : 0));
  Check(ioctl(fd_.get(), TUNSETIFF, &request), "TUNSETIFF");
  name_ = request.ifr_name;
  if_index_ = if_nametoindex(name_.c_str());
  if (vnet_header) Check(ioctl(fd_.get(), TUNSETVNETHDRSZ, &kVnetHeaderBytes), "TUNSETVNETHDRSZ");
}

Tun::Tun(UniqueFd handed_over, const std::string& name, bool vnet_header)
    : fd_(std::move(handed_over)), name_(name), if_index_(if_nametoindex(name.c_str())) {
  ifreq device{};
  if (ioctl(fd_.get(), TUNGETIFF, &device) != 0)
    throw UnusableDescriptor("it is no TUN device, or one that was removed");
  if (name != device.ifr_name || if_index_ == 0) {
    throw UnusableDescriptor("it is the TUN device " + std::string(device.ifr_name) + ", not " + name);
  }
  const unsigned kind = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  const unsigned wanted = IFF_TUN | IFF_NO_PI | (vnet_header ? unsigned{IFF_VNET_HDR} : 0U);
  int header_bytes = 0;
  if ((static_cast<unsigned>(device.ifr_flags) & kind) != wanted ||
      (vnet_header && (ioctl(fd_.get(), TUNGETVNETHDRSZ, &header_bytes) != 0 || header_bytes != kVnetHeaderBytes))) {
    throw UnusableDescriptor("the TUN device " + name + " was opened for another way to carry packets (--naive)");
  }
  Check(fcntl(fd_.get(), F_SETFD, FD_CLOEXEC), "F_SETFD");
  Check(fcntl(fd_.get(), F_SETFL, O_NONBLOCK), "F_SETFL");
}

Tun::Offloads Tun::SetOffloads(Offloads wanted) {
  // TUN_F_CSUM goes with every other flag; USO4 and USO6 only together. The kernel refuses unknown bits.
  const unsigned long tso = wanted.tso ? TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0;
  const unsigned long uso = wanted.uso ? TUN_F_USO4 | TUN_F_USO6 : 0;
  if (uso != 0 && ioctl(fd_.get(), TUNSETOFFLOAD, TUN_F_CSUM | tso | uso) == 0) return wanted;
  if (ioctl(fd_.get(), TUNSETOFFLOAD, TUN_F_CSUM | tso) == 0) return {wanted.tso, false};
  ioctl(fd_.get(), TUNSETOFFLOAD, 0UL);
  return {false, false};
}

bool Tun::AcceptsGsoWrites() const {
  // The header is judged before the state of the device: EIO means "fine, but the device is down".
  return write(fd_.get(), kGsoProbe, sizeof kGsoProbe) >= 0 || errno == EIO;
}

}  // namespace hopsack
