// Micro-benchmarks of the packet street's parts, each alone on one core. Without arguments: names with nanoseconds an
// operation, medians of interleaved rounds, as JSON lines. With a name and a number of operations: does these and no
// more, for callgrind to count instructions in MeasuredLoop. Run by scripts/bench-micro.mjs.
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>

#include "io/system_error.h"
#include "io/udp_socket.h"
#include "pump/coalescer.h"
#include "pump/inbound.h"
#include "pump/outbound.h"
#include "test/packets.h"
#include "wire/checksum.h"

namespace hopsack::test {

/** The same bytes in every run. */
std::mt19937_64& Random() {
  static std::mt19937_64 random(1);
  return random;
}

namespace {

constexpr size_t kRounds = 9;
constexpr double kRoundSeconds = 0.03;
constexpr uint16_t kSegmentBytes = 1400;
constexpr size_t kSuperPacketBytes = 60000;
constexpr VirtioNetHeader kCut = {kVirtioNeedsChecksum, kVirtioGsoTcpV4, 40, kSegmentBytes, 20, kTcpChecksum};

/** Keeps the compiler from dropping what nobody reads. */
volatile uint64_t sink;

struct Benchmark {
  std::string name;
  std::function<void(size_t)> repeat;  // does the operation so often
};

Spec SuperPacketSpec() {
  Spec spec;
  spec.tcp_option_bytes = 0;
  spec.payload_bytes = kSuperPacketBytes;
  return spec;
}

Benchmark Checksum(size_t bytes) {
  return {"checksum of " + std::to_string(bytes) + " bytes", [data = RandomBytes(bytes)](size_t count) {
            uint64_t sum = 0;
            for (size_t i = 0; i < count; i++) sum = ChecksumAdd(sum & 0xffff, data.data(), data.size());
            sink = sum;
          }};
}

/** Lookups of addresses that all have a route, in random order. */
Benchmark Lookup(uint32_t routes) {
  std::vector<Lpm<uint32_t>::Prefix> prefixes;
  for (uint32_t i = 0; i < routes; i++) prefixes.push_back({0x0a000000 + (i << 8), 24, i});
  std::vector<uint32_t> addresses(4096);
  for (uint32_t& address : addresses) address = 0x0a000000 + static_cast<uint32_t>(RandomBelow(routes) << 8);
  return {"lookup in a table of " + std::to_string(routes),
          [table = Lpm<uint32_t>(std::move(prefixes)), addresses](size_t count) {
            uint64_t sum = 0;
            for (size_t i = 0; i < count; i++) sum += table.Lookup(addresses[i % addresses.size()]);
            sink = sum;
          }};
}

Benchmark Segment() {
  return {"segmenter: 60 kB of TCP", [super = MakePacket(SuperPacketSpec())](size_t count) mutable {
            std::array<uint8_t, kMaxInnerHeaderBytes> header{};
            for (size_t i = 0; i < count; i++) {
              Segmenter segmenter;
              if (!segmenter.Init(View(super), kCut)) std::abort();
              for (size_t k = 0; k < segmenter.segment_count(); k++) sink = segmenter.Stamp(k, header.data()).size();
            }
          }};
}

std::vector<Packet> Segments() {
  Packet super = MakePacket(SuperPacketSpec());
  Segmenter segmenter;
  if (!segmenter.Init(View(super), kCut)) std::abort();
  std::vector<Packet> segments;
  for (size_t k = 0; k < segmenter.segment_count(); k++) {
    Packet segment(segmenter.header_bytes());
    const ConstBytes payload = segmenter.Stamp(k, segment.data());
    segment.insert(segment.end(), payload.begin(), payload.end());
    segments.push_back(std::move(segment));
  }
  return segments;
}

Benchmark Coalesce() {
  return {"coalescer: 60 kB of TCP", [segments = Segments()](size_t count) mutable {
            Coalescer coalescer({true, true});
            for (size_t i = 0; i < count; i++) {
              for (Packet& segment : segments) coalescer.Add(View(segment));
              for (size_t k = 0; k < coalescer.item_count(); k++) sink = coalescer.Build(k).bytes;
              coalescer.Clear();
            }
          }};
}

/** Both directions in one thread: socket pair ─▶ Outbound ─▶ UDP to itself ─▶ Inbound ─▶ the same socket pair. */
class Loop {
 public:
  Loop() {
    sockaddr_in self{};
    socklen_t length = sizeof self;
    Check(getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&self), &length), "getsockname");
    const uint16_t port = ntohs(self.sin_port);
    const Packet hop = {127, 0, 0, 1, static_cast<uint8_t>(port), static_cast<uint8_t>(port >> 8), 0, 0, 0, 0, 0, 0,
                        0,   0, 0, 0};
    Packet route(24);
    route[0] = 10, route[16] = 4, route[17] = 8;
    fibs_.Publish(std::make_unique<const Fib>(hop, ConstBytes(), route, route));
    const Packet super = MakePacket(SuperPacketSpec());
    std::memcpy(out_.data(), &kCut, sizeof kCut);
    std::copy(super.begin(), super.end(), out_.begin() + sizeof kCut);
  }

  void Run() {
    Check(static_cast<int>(write(tun_[1].get(), out_.data(), out_.size())), "write");
    outbound_.RunOnce();
    size_t payload = 0;
    while (payload < kSuperPacketBytes) {
      inbound_.RunOnce();
      const ssize_t length = read(tun_[1].get(), in_.data(), in_.size());
      if (length > 0) payload += static_cast<size_t>(length) - sizeof(VirtioNetHeader) - kCut.hdr_len;
    }
  }

 private:
  static std::array<UniqueFd, 2> SocketPair() {
    std::array<int, 2> fds{};
    Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), "socketpair");
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }

  std::array<UniqueFd, 2> tun_ = SocketPair();  // the pump's end, ours
  UdpSocket socket_{{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}}};
  FibPublisher fibs_;
  StopEvent stop_;
  std::array<uint64_t, kWordCount> words_{};
  std::array<uint64_t, 32> peer_bytes_{};
  std::array<int, 1> lanes_ = {socket_.fd()};
  OffloadFlags offloads_ = {true, true, socket_.SupportsGso(), socket_.SetGro(true), true};
  ThreadContext context_{tun_[0].get(),
                         socket_.fd(),
                         lanes_,
                         offloads_,
                         true,
                         28,
                         1472,
                         {},
                         true,
                         nullptr,
                         fibs_,
                         stop_,
                         SharedCounters(words_.data(), peer_bytes_)};
  Outbound outbound_{context_};
  Inbound inbound_{context_};
  Packet out_ = Packet(sizeof kCut + kCut.hdr_len + kSuperPacketBytes);
  Packet in_ = Packet(sizeof kCut + 65536);
};

Benchmark LoopThrough() {
  return {"pump: 60 kB of TCP, out and in", [loop = std::make_shared<Loop>()](size_t count) {
            for (size_t i = 0; i < count; i++) loop->Run();
          }};
}

std::vector<Benchmark> Benchmarks() {
  return {Checksum(64), Checksum(1400), Lookup(1), Lookup(1000), Lookup(10000), Segment(), Coalesce(), LoopThrough()};
}

/** Callgrind counts what happens in here: the name must stay in the program. */
[[gnu::noinline]] double MeasuredLoop(const Benchmark& benchmark, size_t count) {
  const auto begin = std::chrono::steady_clock::now();
  benchmark.repeat(count);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  return time.count();
}

/** How many operations take about kRoundSeconds. */
size_t Calibrate(const Benchmark& benchmark) {
  size_t count = 1;
  for (;;) {
    const double seconds = MeasuredLoop(benchmark, count);
    if (seconds > kRoundSeconds / 2) {
      return std::max<size_t>(1, static_cast<size_t>(static_cast<double>(count) * kRoundSeconds / seconds));
    }
    count *= 2;
  }
}

void MeasureAll() {
  const std::vector<Benchmark> benchmarks = Benchmarks();
  std::vector<size_t> counts;
  counts.reserve(benchmarks.size());
  for (const Benchmark& benchmark : benchmarks) counts.push_back(Calibrate(benchmark));
  std::vector<std::vector<double>> times(benchmarks.size());
  for (size_t round = 0; round < kRounds; round++) {
    for (size_t i = 0; i < benchmarks.size(); i++) {
      times[i].push_back(MeasuredLoop(benchmarks[i], counts[i]) / static_cast<double>(counts[i]));
    }
  }
  for (size_t i = 0; i < benchmarks.size(); i++) {
    std::sort(times[i].begin(), times[i].end());
    std::printf("{\"name\":\"%s\",\"nanoseconds\":%.2f}\n", benchmarks[i].name.c_str(), times[i][kRounds / 2] * 1e9);
  }
}

bool MeasureOne(std::string_view name, size_t count) {
  for (const Benchmark& benchmark : Benchmarks()) {
    if (benchmark.name != name) continue;
    benchmark.repeat(1);  // what is done only once is not counted
    MeasuredLoop(benchmark, count);
    return true;
  }
  return false;
}

}  // namespace
}  // namespace hopsack::test

int main(int argc, char** argv) {
  if (argc == 1) {
    hopsack::test::MeasureAll();
    return 0;
  }
  const size_t count = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (count > 0 && hopsack::test::MeasureOne(argv[1], count)) return 0;
  std::fprintf(stderr, "usage: native_bench [NAME OPERATIONS]\n");
  return 2;
}
