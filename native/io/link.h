// What kind of link a network device is, and its offloads.
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

/**
 * Makes what is sent out by `sender`, one end of a new veth pair, arrive at `receiver` merged by GRO. False where the
 * kernel cannot (before Linux 5.13 veth did it for XDP alone, and said of itself that it always did).
 */
bool MakeVethPairMerge(const std::string& sender, const std::string& receiver);

}  // namespace hopsack
