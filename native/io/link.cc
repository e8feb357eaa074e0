#include "io/link.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <optional>
#include <string_view>

#include "io/unique_fd.h"

namespace hopsack {
namespace {

bool Ask(unsigned long question, const std::string& name, ifreq& request) {
  const UniqueFd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return ioctl(probe.get(), question, &request) == 0;
}

/** nullopt: the device does not say. */
std::optional<bool> Feature(uint32_t command, const std::string& name) {
  ifreq request{};
  ethtool_value value{command, 0};
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (!Ask(SIOCETHTOOL, name, request)) return std::nullopt;
  return value.data != 0;
}

bool SetFeature(uint32_t command, const std::string& name, bool is_on) {
  ifreq request{};
  ethtool_value value{command, is_on ? 1U : 0U};
  request.ifr_data = reinterpret_cast<char*>(&value);
  return Ask(SIOCETHTOOL, name, request);
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
  return Feature(ETHTOOL_GTSO, name) == true;
}

// The conditions of veth_skb_is_eligible_for_gro (drivers/net/veth.c).
bool MakeVethPairMerge(const std::string& sender, const std::string& receiver) {
  if (Feature(ETHTOOL_GGRO, receiver) != false) return false;
  return SetFeature(ETHTOOL_STSO, sender, false) && SetFeature(ETHTOOL_SGRO, receiver, true) &&
         Feature(ETHTOOL_GTSO, sender) == false && Feature(ETHTOOL_GGRO, receiver) == true;
}

}  // namespace hopsack
