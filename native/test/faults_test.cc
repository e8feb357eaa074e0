// Errors from every system call of the packet threads: what arrives all the same, by which name the rest is counted,
// and that the next packets pass. The linker leads the calls of this program through the functions below (-Wl,--wrap).
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "pump/inbound.h"
#include "pump/outbound.h"
#include "test/pump_loop.h"

namespace hopsack::test {
namespace {

/** The next `times` calls of this name fail. */
struct Fault {
  const char* call = "";
  int error = 0;
  int times = 0;
};
/** Of two calls, since some are made only after another has failed. */
std::array<Fault, 2> armed;

bool Fails(const char* call) {
  for (Fault& fault : armed) {
    if (fault.times == 0 || std::strcmp(fault.call, call) != 0) continue;
    fault.times--;
    errno = fault.error;
    return true;
  }
  return false;
}

}  // namespace

extern "C" {
#define WRAP(result, name, parameters, arguments)       \
  result __real_##name parameters;                      \
  result __wrap_##name parameters {                     \
    return Fails(#name) ? -1 : __real_##name arguments; \
  }
WRAP(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags), (fd, messages, count, flags))
WRAP(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
WRAP(int, recvmmsg, (int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit),
     (fd, messages, count, flags, limit))
WRAP(ssize_t, read, (int fd, void* bytes, size_t size), (fd, bytes, size))
WRAP(ssize_t, writev, (int fd, const iovec* pieces, int count), (fd, pieces, count))
#undef WRAP
}

namespace {

constexpr int kPackets = 3;

struct Trial {
  const char* tried;
  Fault fault;
  const char* happened;
  /** What leads to the call that fails. */
  Fault before = {};
};

const Trial kTrials[] = {
    {.tried = "sendmmsg: EAGAIN", .fault = {"sendmmsg", EAGAIN, 1}, .happened = "3 of 3 arrive"},
    {.tried = "sendmmsg: EINTR", .fault = {"sendmmsg", EINTR, 1}, .happened = "3 of 3 arrive"},
    {.tried = "sendmmsg: EIO", .fault = {"sendmmsg", EIO, 1}, .happened = "3 of 3 arrive; udp_gso_fallbacks 1"},
    {.tried = "sendmmsg: EINVAL", .fault = {"sendmmsg", EINVAL, 1}, .happened = "3 of 3 arrive; udp_gso_fallbacks 1"},
    {.tried = "sendmmsg: ENOBUFS", .fault = {"sendmmsg", ENOBUFS, 1}, .happened = "3 of 3 arrive"},
    {.tried = "sendmmsg: EMSGSIZE", .fault = {"sendmmsg", EMSGSIZE, 1}, .happened = "3 of 3 arrive"},
    {.tried = "sendmmsg: EHOSTUNREACH",
     .fault = {"sendmmsg", EHOSTUNREACH, 1},
     .happened = "0 of 3 arrive; icmp_sent 1; drop_host_unreachable 3"},
    {.tried = "sendmmsg: ENETDOWN",
     .fault = {"sendmmsg", ENETDOWN, 1},
     .happened = "0 of 3 arrive; icmp_sent 1; drop_host_unreachable 3"},
    {.tried = "sendmmsg: EPERM", .fault = {"sendmmsg", EPERM, 1}, .happened = "0 of 3 arrive; drop_send_refused 3"},
    {.tried = "sendmsg: EAGAIN, after ENOBUFS",
     .fault = {"sendmsg", EAGAIN, 1},
     .happened = "3 of 3 arrive",
     .before = {"sendmmsg", ENOBUFS, 1}},
    {.tried = "sendmsg: ENOBUFS three times, after ENOBUFS",
     .fault = {"sendmsg", ENOBUFS, 3},
     .happened = "3 of 3 arrive",
     .before = {"sendmmsg", ENOBUFS, 1}},
    {.tried = "sendmsg: ENOBUFS four times, after ENOBUFS",
     .fault = {"sendmsg", ENOBUFS, 4},
     .happened = "2 of 3 arrive; drop_send_buffer_full 1",
     .before = {"sendmmsg", ENOBUFS, 1}},
    {.tried = "sendmsg: EIO, after EIO",
     .fault = {"sendmsg", EIO, 1},
     .happened = "2 of 3 arrive; drop_send_refused 1",
     .before = {"sendmmsg", EIO, 1}},
    {.tried = "sendmsg: EMSGSIZE, after EMSGSIZE",
     .fault = {"sendmsg", EMSGSIZE, 1},
     .happened = "2 of 3 arrive; icmp_sent 1; drop_packet_too_big 1",
     .before = {"sendmmsg", EMSGSIZE, 1}},
    {.tried = "recvmmsg: EAGAIN", .fault = {"recvmmsg", EAGAIN, 1}, .happened = "3 of 3 arrive"},
    {.tried = "recvmmsg: EINTR", .fault = {"recvmmsg", EINTR, 1}, .happened = "3 of 3 arrive"},
    {.tried = "recvmmsg: EIO", .fault = {"recvmmsg", EIO, 1}, .happened = "3 of 3 arrive"},
    {.tried = "recvmmsg: ENOBUFS", .fault = {"recvmmsg", ENOBUFS, 1}, .happened = "3 of 3 arrive"},
    {.tried = "recvmmsg: ECONNREFUSED", .fault = {"recvmmsg", ECONNREFUSED, 1}, .happened = "3 of 3 arrive"},
    {.tried = "read from the TUN: EAGAIN", .fault = {"read", EAGAIN, 1}, .happened = "3 of 3 arrive"},
    {.tried = "read from the TUN: EINTR", .fault = {"read", EINTR, 1}, .happened = "3 of 3 arrive"},
    {.tried = "read from the TUN: EIO", .fault = {"read", EIO, 1}, .happened = "3 of 3 arrive"},
    {.tried = "read from the TUN: ENOBUFS", .fault = {"read", ENOBUFS, 1}, .happened = "3 of 3 arrive"},
    {.tried = "writev to the TUN: EINVAL for a super-packet",
     .fault = {"writev", EINVAL, 1},
     .happened = "3 of 3 arrive; tun_gro_fallbacks 1"},
    {.tried = "writev to the TUN: EAGAIN for a super-packet",
     .fault = {"writev", EAGAIN, 1},
     .happened = "3 of 3 arrive"},
    {.tried = "writev to the TUN: EIO for a super-packet", .fault = {"writev", EIO, 1}, .happened = "3 of 3 arrive"},
    {.tried = "writev to the TUN: ENOBUFS for a super-packet",
     .fault = {"writev", ENOBUFS, 1},
     .happened = "3 of 3 arrive"},
    {.tried = "writev to the TUN: EIO for everything",
     .fault = {"writev", EIO, 1 + kPackets},
     .happened = "0 of 3 arrive; drop_tun_refused 3"},
};

/** Both directions, in turns. */
struct Road {
  PumpLoop loop;
  Outbound outbound{loop.context};
  Inbound inbound{loop.context};
  Spec spec;

  Road() {
    loop.Publish();
    spec.payload_bytes = 1000;
  }

  /** Packets of one stream, which leave as one send and arrive as one super-packet; as many rounds as any trial needs.
   */
  void Carry() {
    for (int i = 0; i < kPackets; i++) {
      loop.Write({}, MakePacket(spec));
      spec.sequence += static_cast<uint32_t>(spec.payload_bytes);
    }
    for (int round = 0; round < 4; round++) outbound.RunOnce();
    for (int round = 0; round < 4; round++) inbound.RunOnce();
  }

  uint64_t arrived() const { return loop.words[static_cast<size_t>(Counter::tun_tx_packets)]; }

  /** What arrived, and every word that tells of something unusual. */
  std::string Happened() const {
    std::string text = std::to_string(arrived()) + " of " + std::to_string(kPackets) + " arrive";
    for (size_t word = 0; word < kFirstGauge; word++) {
      const std::string name = kWordNames[word];
      const bool is_unusual = word >= kCounterCount || name.ends_with("_fallbacks") || name.starts_with("icmp_");
      if (is_unusual && loop.words[word] != 0) text += "; " + name + " " + std::to_string(loop.words[word]);
    }
    return text;
  }
};

/** For TRIALS.md (test/support/trials.ts). */
void WriteRows() {
  const char* folder = std::getenv("HOPSACK_TRIALS");  // NOLINT(concurrency-mt-unsafe)
  if (folder == nullptr) return;
  std::ofstream page(std::string(folder) + "/faults_test.cc.json");
  page << R"({"title":"Errors from the system calls of the packet threads","source":"faults_test.cc","rows":[)";
  const char* separator = "";
  for (const Trial& trial : kTrials) {
    page << separator << R"({"tried":")" << trial.tried << R"(","happened":")" << trial.happened << R"("})";
    separator = ",";
  }
  page << "]}\n";
}

}  // namespace

TEST(
    "faults: whatever error a system call gives, what can be kept arrives, the rest is counted, and the next packets "
    "pass") {
  for (const Trial& trial : kTrials) {
    Road road;
    armed = {trial.before, trial.fault};
    road.Carry();
    const std::string happened = road.Happened();
    if (happened != trial.happened) Failures().push_back(std::string(trial.tried) + ": " + happened);
    CHECK(happened == trial.happened && armed[0].times + armed[1].times == 0);
    const uint64_t before = road.arrived();
    road.Carry();
    CHECK(road.arrived() == before + kPackets);
  }
  WriteRows();
}

}  // namespace hopsack::test
