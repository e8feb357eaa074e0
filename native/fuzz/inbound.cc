// [mode 1 | TOS 1 | segment length 2] (length 2 | datagram)*: sent through loopback to a whole Inbound, with UDP_GRO.
// What arrives is carried, goes up, or is dropped with a reason; what reaches the TUN is well-formed, and no byte of
// payload is lost.
#include "pump/inbound.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "fuzz/fuzz.h"
#include "test/road.h"
#include "test/vxlan_header.h"

namespace {

using namespace hopsack;

/** A network namespace of our own: nothing that is made up here reaches a socket of somebody else. */
void UseOwnNamespace() {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    std::perror("this target needs a network namespace of its own");
    std::exit(2);
  }
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  if (ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) std::abort();
}

/** Of what was received, and not of what the socket had no room for. */
uint64_t Drops(const test::Road& road) {
  uint64_t drops = 0;
  for (size_t reason = 0; reason < kDropReasonCount; reason++) drops += road.drops(static_cast<DropReason>(reason));
  return drops - road.drops(DropReason::receive_buffer_full);
}

/** How many packets went into a write at the most: a kernel peer's own super-packet was one. */
size_t CheckWritten(const test::Written& written) {
  test::Packet bytes = written.bytes;
  const VirtioNetHeader& offload = written.offload;
  IpPacket packet;
  MUST(ParseIp(bytes, false, &packet) == IpError::kNone && packet.size() == bytes.size());
  if (offload.gso_type == kVirtioGsoNone) {
    MUST(offload.flags == 0 || (offload.flags == kVirtioNeedsChecksum && FinishChecksum(bytes, offload)));
    return 1;
  }
  const std::vector<test::Packet> segments = test::Cut(bytes, offload);
  for (const test::Packet& segment : segments) {
    MUST(test::L4ChecksumIsRight(segment, offload.csum_start, packet.protocol));
  }
  return std::max<size_t>(1, segments.size());
}

}  // namespace

FUZZ(input) {
  static const bool is_ready = (UseOwnNamespace(), true);
  static test::Road udp({true, true, true, true, true});
  static test::Road vxlan({true, true, true, true, true}, test::VxlanHeader());
  MUST(is_ready);
  test::Road& road = input.Take<uint8_t>() % 2 == 0 ? udp : vxlan;
  road.SetOuterTos(input.Take<uint8_t>() & 3);
  const auto segment_bytes = input.Take<uint16_t>();
  const uint64_t drops_before = Drops(road), seen_before = road.count(Counter::udp_rx_datagrams);
  const uint64_t accepted_before = road.accepted_bytes();

  size_t sent = 0;
  while (!input.empty()) sent += road.TrySend(input.TakeBytes(input.Take<uint16_t>()), segment_bytes) ? 1 : 0;
  if (sent == 0) return;
  size_t written_bytes = 0, most_bytes = 0, most_packets = 0;
  const std::vector<test::Written> all = road.Receive();
  for (const test::Written& written : all) {
    const size_t packets = CheckWritten(written);
    most_packets += packets;
    written_bytes += written.bytes.size();
    most_bytes += written.bytes.size() + (packets - 1) * written.offload.hdr_len;
  }
  const uint64_t seen = road.count(Counter::udp_rx_datagrams) - seen_before, drops = Drops(road) - drops_before;
  const uint64_t accepted_bytes = road.accepted_bytes() - accepted_before;
  MUST(drops <= seen && all.size() <= seen - drops && seen - drops <= most_packets);
  MUST(written_bytes <= accepted_bytes && accepted_bytes <= most_bytes);
}
