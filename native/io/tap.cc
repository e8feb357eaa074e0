#include "io/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstdint>

#include "io/system_error.h"

namespace hopsack {

UniqueFd MakeTap(const std::string& name) {
  UniqueFd fd(Check(open("/dev/net/tun", O_RDWR | O_CLOEXEC), "open"));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<int16_t>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
  Check(ioctl(fd.get(), TUNSETIFF, &request), "TUNSETIFF");
  return fd;
}

void KeepTap(int fd) {
  Check(ioctl(fd, TUNSETPERSIST, 1), "TUNSETPERSIST");
}

}  // namespace hopsack
