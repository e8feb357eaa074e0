#include "io/link.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string_view>

#include "io/unique_fd.h"

namespace hopsack {
namespace {

bool Ask(unsigned long question, const std::string& name, ifreq& request) {
  const UniqueFd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return ioctl(probe.get(), question, &request) == 0;
}

}  // namespace

bool LinkIsEthernet(const std::string& name) {
  ifreq request{};
  return Ask(SIOCGIFHWADDR, name, request) && request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

bool LinkCarriesSuperPackets(const std::string& name) {
  ifreq request{};
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (!Ask(SIOCETHTOOL, name, request) || std::string_view(driver.driver) != "veth") return false;
  ethtool_value tso{ETHTOOL_GTSO, 0};
  request.ifr_data = reinterpret_cast<char*>(&tso);
  return Ask(SIOCETHTOOL, name, request) && tso.data != 0;
}

}  // namespace hopsack
