#include "pump/send_queue.h"

#include <netinet/udp.h>

#include <algorithm>
#include <bit>

#include "io/udp_socket.h"

namespace hopsack {
namespace {

constexpr int kNoBufferRetries = 3;

void AddControl(msghdr& message, size_t& used, int level, int type, const void* value, size_t bytes) {
  auto* header = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(message.msg_control) + used);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(header), value, bytes);
  used += CMSG_SPACE(bytes);
}

bool IsUnreachable(int error) {
  return error == EHOSTUNREACH || error == ENETUNREACH || error == ENETDOWN;
}

}  // namespace

SendQueue::SendQueue(Options options, const StopEvent& stop, IcmpResponder& icmp, CounterBlock& counters,
                     SharedCounters& shared)
    : options_(options),
      stop_(stop),
      icmp_(icmp),
      counters_(counters),
      shared_(shared),
      runs_(std::make_unique<Run[]>(kMaxRuns)),
      iovs_(std::make_unique<iovec[]>(kMaxIovs)),
      messages_(std::make_unique<mmsghdr[]>(kMaxRuns)),
      controls_(std::make_unique<Control[]>(kMaxRuns)) {}

bool SendQueue::Extends(const Run& run, const NextHop& hop, OuterHeader outer, size_t bytes) const {
  return options_.gso && !run.closed && run.hop == &hop && run.outer == outer && bytes <= run.segment_bytes &&
         run.segments < kMaxSegments && run.bytes + bytes <= kMaxRunBytes;
}

void SendQueue::Add(const NextHop& hop, OuterHeader outer, Bytes head, ConstBytes tail) {
  const size_t bytes = head.size() + tail.size();
  if (run_count_ == 0 || !Extends(runs_[run_count_ - 1], hop, outer, bytes)) {
    runs_[run_count_++] = {&hop, static_cast<uint32_t>(iov_count_), 0, 0, static_cast<uint32_t>(bytes), 0, outer,
                           false};
    lanes_used_ |= 1u << outer.lane;
  }
  Run& run = runs_[run_count_ - 1];
  const size_t iovs_before = iov_count_;
  iovs_[iov_count_++] = {head.data(), head.size()};
  if (!tail.empty()) iovs_[iov_count_++] = {const_cast<uint8_t*>(tail.data()), tail.size()};
  run.iov_count += static_cast<uint32_t>(iov_count_ - iovs_before);
  run.bytes += static_cast<uint32_t>(bytes);
  run.segments++;
  run.closed = bytes < run.segment_bytes;  // the kernel wants only the last datagram shorter
  queued_bytes_ += bytes;
}

void SendQueue::FillMessage(const Run& run, msghdr& message, Control& control) {
  message = {};
  message.msg_name = const_cast<sockaddr_in*>(&run.hop->endpoint);
  message.msg_namelen = sizeof run.hop->endpoint;
  message.msg_iov = &iovs_[run.first_iov];
  message.msg_iovlen = run.iov_count;
  message.msg_control = control.bytes;
  size_t used = 0;
  if (run.segments > 1) {
    const auto segment_bytes = static_cast<uint16_t>(run.segment_bytes);
    AddControl(message, used, SOL_UDP, UDP_SEGMENT, &segment_bytes, sizeof segment_bytes);
  }
  if (run.outer.tos != 0) {
    const int tos = run.outer.tos;
    AddControl(message, used, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
  }
  if (run.outer.ttl != 0) {
    const int ttl = run.outer.ttl;
    AddControl(message, used, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
  }
  message.msg_controllen = used;
  if (used == 0) message.msg_control = nullptr;
}

void SendQueue::Flush() {
  while (lanes_used_ != 0 && FlushLane(static_cast<uint8_t>(std::countr_zero(lanes_used_)))) {
    lanes_used_ &= lanes_used_ - 1;
  }
  run_count_ = iov_count_ = queued_bytes_ = lanes_used_ = 0;
}

/** The runs of one socket, in their order; false when the pump stops. */
bool SendQueue::FlushLane(uint8_t lane) {
  size_t count = 0;
  for (size_t i = 0; i < run_count_; i++) {
    if (runs_[i].outer.lane != lane) continue;
    FillMessage(runs_[i], messages_[count].msg_hdr, controls_[count]);
    lane_runs_[count++] = static_cast<uint8_t>(i);
  }
  size_t next = 0;
  while (next < count) {
    if (!SendRuns(lane, next, count)) return false;
  }
  return true;
}

/** One sendmmsg from message `next` on, which moves past what was sent or given up; false when the pump stops. */
bool SendQueue::SendRuns(uint8_t lane, size_t& next, size_t count) {
  const int socket_fd = options_.lanes[lane];
  const int sent = sendmmsg(socket_fd, &messages_[next], static_cast<unsigned>(count - next), 0);
  counters_.Add(Counter::udp_tx_calls);
  if (sent > 0) {
    for (int i = 0; i < sent; i++) CountSent(runs_[lane_runs_[next++]]);
    return true;
  }
  if (errno == EINTR) return true;
  if (errno == EAGAIN) return stop_.WaitFor(socket_fd, POLLOUT);
  HandleError(runs_[lane_runs_[next++]], errno);
  return !stop_.signalled();
}

void SendQueue::CountSent(const Run& run) {
  counters_.Add(Counter::udp_tx_sends);
  counters_.Add(Counter::udp_tx_datagrams, run.segments);
  counters_.Add(Counter::udp_tx_bytes, run.bytes);
  shared_.AddPeerBytes(Direction::kOutbound, run.hop->peer, run.bytes - run.segments * run.hop->header_bytes);
}

void SendQueue::HandleError(const Run& run, int error) {
  if (run.segments > 1 && (error == EIO || error == EINVAL)) {
    // EIO: no checksum offload on the way out (before 6.11). EINVAL: this kernel counts segments or bytes differently.
    // EINVAL may also be about the peer (a blackhole route; longer than the path's MTU, before 6.14): then the first
    // datagram is refused by itself as well.
    if (SendSingly(run)) DisableGso();
  } else if (error == ENOBUFS || (run.segments > 1 && error == EMSGSIZE)) {
    SendSingly(run);
  } else {
    DropRun(run, error);
  }
}

void SendQueue::DisableGso() {
  if (!options_.gso) return;
  options_.gso = false;
  counters_.Add(Counter::udp_gso_fallbacks);
  shared_.Set(Gauge::offload_udp_gso, 0);
}

/**
 * Every datagram of the run by itself: nothing of it is lost because the kernel refused the whole. Returns whether the
 * first one went out.
 */
bool SendQueue::SendSingly(const Run& run) {
  bool is_first_sent = false;
  uint32_t iov = run.first_iov;
  const uint32_t end = run.first_iov + run.iov_count;
  while (iov < end && !stop_.signalled()) {
    Run single = {run.hop, iov, 0, 0, run.segment_bytes, 1, run.outer, true};
    while (iov < end && single.bytes < run.segment_bytes) {
      single.bytes += static_cast<uint32_t>(iovs_[iov++].iov_len);
      single.iov_count++;
    }
    const bool is_sent = SendOne(single);
    if (single.first_iov == run.first_iov) is_first_sent = is_sent;
  }
  return is_first_sent;
}

bool SendQueue::SendOne(const Run& run) {
  msghdr message;
  Control control;
  FillMessage(run, message, control);
  const int socket_fd = options_.lanes[run.outer.lane];
  int retries = kNoBufferRetries;
  while (sendmsg(socket_fd, &message, 0) < 0) {
    const int error = errno;
    counters_.Add(Counter::udp_tx_calls);
    if (error == EAGAIN && stop_.WaitFor(socket_fd, POLLOUT)) continue;
    if (error == EINTR || (error == ENOBUFS && retries-- > 0)) continue;
    DropRun(run, error);
    return false;
  }
  counters_.Add(Counter::udp_tx_calls);
  CountSent(run);
  return true;
}

void SendQueue::DropRun(const Run& run, int error) {
  if (error == EMSGSIZE) {
    AnswerTooBig(run);
    counters_.Drop(DropReason::packet_too_big, run.segments);
  } else if (IsUnreachable(error)) {
    AnswerError(run, IcmpError::kHostUnreachable, 0);
    counters_.Drop(DropReason::host_unreachable, run.segments);
  } else {
    counters_.Drop(error == ENOBUFS ? DropReason::send_buffer_full : DropReason::send_refused, run.segments);
  }
}

void SendQueue::AnswerTooBig(const Run& run) {
  const auto path_mtu = static_cast<size_t>(std::max(0, PathMtu(run.hop->endpoint)));
  if (path_mtu <= options_.overhead_bytes) return;
  AnswerError(run, IcmpError::kPacketTooBig, static_cast<uint16_t>(path_mtu - options_.overhead_bytes));
}

/** The answer quotes the first packet of the run; its bytes may lie in two pieces. */
void SendQueue::AnswerError(const Run& run, IcmpError error, uint16_t mtu) {
  std::array<uint8_t, kMaxEncapBytes + kMaxIcmpErrorBytes> quote;
  size_t bytes = 0;
  const size_t limit = std::min<size_t>(quote.size(), std::min(run.bytes, run.segment_bytes));
  for (uint32_t i = run.first_iov; bytes < limit; i++) {
    const size_t piece = std::min(iovs_[i].iov_len, limit - bytes);
    std::memcpy(quote.data() + bytes, iovs_[i].iov_base, piece);
    bytes += piece;
  }
  IpPacket packet;
  const Bytes inner = Bytes(quote.data(), bytes).subspan(run.hop->header_bytes);
  if (ParseIp(inner, true, &packet) == IpError::kNone) icmp_.Answer(error, packet, mtu);
}

}  // namespace hopsack
