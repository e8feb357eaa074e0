// What goes to the TUN and what a kernel makes of it: super-packets, their offload headers, and the packets they are
// cut to.
#pragma once

#include "pump/coalescer.h"
#include "test/packets.h"

namespace hopsack::test {

/** One write to the TUN, or one read from it. */
struct Written {
  VirtioNetHeader offload;
  Packet bytes;
};

/** The segments of a super-packet, as a kernel would cut it; none when the offload header contradicts it. */
std::vector<Packet> Cut(Packet super, const VirtioNetHeader& offload);

/** The bytes of a write, which its pieces point to. */
Written Gather(const Coalescer::Write& write);

}  // namespace hopsack::test
