#include "io/link_offloads.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string_view>

#include "io/unique_fd.h"

namespace hopsack {

bool LinkCarriesSuperPackets(const std::string& name) {
  const UniqueFd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (ioctl(probe.get(), SIOCETHTOOL, &request) != 0 || std::string_view(driver.driver) != "veth") return false;
  ethtool_value tso{ETHTOOL_GTSO, 0};
  request.ifr_data = reinterpret_cast<char*>(&tso);
  return ioctl(probe.get(), SIOCETHTOOL, &request) == 0 && tso.data != 0;
}

}  // namespace hopsack
