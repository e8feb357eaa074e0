// What kind of link a network device is.
#pragma once

#include <string>

namespace hopsack {

/** Whether its packets begin with an Ethernet header. */
bool LinkIsEthernet(const std::string& name);

/**
 * Whether a packet of many segments that leaves by this device arrives at the other end as one: a veth pair whose
 * offloads are on. A network card cuts it, and a device without the offload has it cut before.
 */
bool LinkCarriesSuperPackets(const std::string& name);

}  // namespace hopsack
