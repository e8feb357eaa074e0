#include "io/netlink_socket.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "io/system_error.h"
#include "io/thread.h"

namespace hopsack {
namespace {

/** An acknowledgement occupies about 1 KiB of the receive buffer, which holds 208 KiB by default. */
constexpr size_t kBatchMessages = 64;
/** Well below the default send buffer (208 KiB): a batch is one datagram. */
constexpr size_t kBatchBytes = size_t{32} * 1024;
/** The kernel fills at most 32 KiB per datagram of a dump. */
constexpr size_t kReceiveBytes = size_t{64} * 1024;
constexpr int kReceiveQueueBytes = 1024 * 1024;
/** The kernel answers in microseconds; a request without an answer is a bug, and must not stop the event loop for good.
 */
constexpr timeval kAnswerLimit = {5, 0};
/** Datagrams handed over at once. */
constexpr int kEventBatch = 64;

void EnableIfKnown(int fd, int option) {
  const int on = 1;
  setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

UniqueFd OpenRequestSocket(int protocol) {
  UniqueFd fd(Check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), "socket"));
  EnableIfKnown(fd.get(), NETLINK_EXT_ACK);
  EnableIfKnown(fd.get(), NETLINK_CAP_ACK);
  EnableIfKnown(fd.get(), NETLINK_GET_STRICT_CHK);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveQueueBytes, sizeof kReceiveQueueBytes);
  Check(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerLimit, sizeof kAnswerLimit), "setsockopt");
  return fd;
}

UniqueFd OpenNetns(const std::string& path) {
  return path.empty() ? UniqueFd() : UniqueFd(Check(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open"));
}

/** A socket stays in the namespace it was opened in; setns(2) moves one thread, so one that ends at once does it. */
UniqueFd OpenRequestSocketIn(const UniqueFd& netns, int protocol) {
  if (!netns) return OpenRequestSocket(protocol);
  UniqueFd fd;
  std::optional<SystemError> failure;
  StartThread([&] {
    try {
      Check(setns(netns.get(), CLONE_NEWNET), "setns");
      fd = OpenRequestSocket(protocol);
    } catch (const SystemError& error) {
      failure = error;
    }
  }).join();
  if (failure) throw *failure;
  return fd;
}

UniqueFd OpenEventSocket(int protocol, std::span<const int> groups) {
  UniqueFd fd(Check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), "socket"));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveQueueBytes, sizeof kReceiveQueueBytes);
  const sockaddr_nl local{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local), "bind");
  for (const int group : groups) {
    Check(setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), "setsockopt");
  }
  return fd;
}

/** The header of the message at the start of `bytes`; a length of 0 when none fits. */
nlmsghdr HeaderAt(std::span<const uint8_t> bytes) {
  nlmsghdr header{};
  if (bytes.size() < sizeof header) return header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) header.nlmsg_len = 0;
  return header;
}

bool IsDump(const nlmsghdr& header) {
  constexpr int kGet = 2;  // RTM_NEWx, RTM_DELx, RTM_GETx, RTM_SETx come in fours
  return (header.nlmsg_type & 3) == kGet && (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
}

void CheckRequest(std::span<const uint8_t> request) {
  const nlmsghdr header = HeaderAt(request);
  const bool is_answered = IsDump(header) || (header.nlmsg_flags & NLM_F_ACK) != 0;
  const bool is_whole = header.nlmsg_len != 0 && request.size() == NLMSG_ALIGN(header.nlmsg_len);
  if (!is_whole || !is_answered || (header.nlmsg_flags & NLM_F_REQUEST) == 0) throw SystemError("request", EINVAL);
}

/** How many of the requests go out together: a dump alone, since a socket runs one at a time. */
size_t BatchLength(std::span<const std::span<const uint8_t>> requests) {
  size_t bytes = 0;
  size_t count = 0;
  for (const auto request : requests) {
    bytes += request.size();
    const bool is_dump = IsDump(HeaderAt(request));
    if (count > 0 && (is_dump || count == kBatchMessages || bytes > kBatchBytes)) break;
    count++;
    if (is_dump) break;
  }
  return count;
}

/** One datagram from the kernel; 0 for one from anybody else. @throws SystemError */
size_t ReceiveDatagram(int fd, std::span<uint8_t> buffer) {
  sockaddr_nl sender{};
  socklen_t sender_length = sizeof sender;
  ssize_t size;
  do {
    size = recvfrom(fd, buffer.data(), buffer.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&sender), &sender_length);
  } while (size < 0 && errno == EINTR);
  if (size < 0) throw SystemError("recvfrom", errno);
  if (static_cast<size_t>(size) > buffer.size()) throw SystemError("recvfrom", EMSGSIZE);
  return sender.nl_pid == 0 ? static_cast<size_t>(size) : 0;
}

template <typename Visit>
void ForEachMessage(std::span<const uint8_t> datagram, Visit visit) {
  for (nlmsghdr header = HeaderAt(datagram); header.nlmsg_len != 0; header = HeaderAt(datagram)) {
    visit(header, datagram.first(header.nlmsg_len));
    datagram = datagram.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
}

}  // namespace

NetlinkSocket::NetlinkSocket(const std::string& netns, int protocol)
    : protocol_(protocol),
      netns_(OpenNetns(netns)),
      fd_(OpenRequestSocketIn(netns_, protocol)),
      buffer_(kReceiveBytes) {}

std::vector<NetlinkMessage> NetlinkSocket::Request(std::span<const std::span<const uint8_t>> requests) {
  for (const auto request : requests) CheckRequest(request);
  std::vector<NetlinkMessage> answers;
  answers.reserve(requests.size());
  try {
    while (!requests.empty()) {
      const auto batch = requests.first(BatchLength(requests));
      SendBatch(batch);
      std::vector<uint32_t> pending;
      for (const auto request : batch) pending.push_back(HeaderAt(request).nlmsg_seq);
      ReceiveAnswers(std::move(pending), answers);
      requests = requests.subspan(batch.size());
    }
  } catch (const SystemError&) {
    fd_ = OpenRequestSocketIn(netns_, protocol_);  // late answers and a dump half done go with the old socket
    throw;
  }
  return answers;
}

uint64_t NetlinkSocket::NetnsCookie() const {
  uint64_t cookie = 0;
  socklen_t bytes = sizeof cookie;
  return getsockopt(fd_.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes) == 0 ? cookie : 0;
}

void NetlinkSocket::SendBatch(std::span<const std::span<const uint8_t>> batch) const {
  std::vector<iovec> parts;
  for (const auto request : batch) parts.push_back({const_cast<uint8_t*>(request.data()), request.size()});
  sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t sent;
  do {
    sent = sendmsg(fd_.get(), &message, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw SystemError("sendmsg", errno);
}

void NetlinkSocket::ReceiveAnswers(std::vector<uint32_t> pending, std::vector<NetlinkMessage>& answers) {
  while (!pending.empty()) {
    size_t size = 0;
    try {
      size = ReceiveDatagram(fd_.get(), buffer_);
    } catch (const SystemError& error) {
      if (error.error() == EAGAIN) throw SystemError(error.syscall(), ETIMEDOUT);
      throw;
    }
    ForEachMessage(std::span(buffer_).first(size), [&](const nlmsghdr& header, std::span<const uint8_t> message) {
      const auto waiting = std::find(pending.begin(), pending.end(), header.nlmsg_seq);
      if (waiting == pending.end()) return;
      answers.emplace_back(message.begin(), message.end());
      if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) pending.erase(waiting);
    });
  }
}

NetlinkMonitor::NetlinkMonitor(int protocol, std::span<const int> groups, OnMessages on_messages)
    : fd_(OpenEventSocket(protocol, groups)),
      stop_(Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      on_messages_(std::move(on_messages)),
      buffer_(kReceiveBytes),
      thread_(StartThread([this] { Run(); })) {}

void NetlinkMonitor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void NetlinkMonitor::Run() {
  pollfd watched[] = {{fd_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  for (;;) {
    if (poll(watched, std::size(watched), -1) < 0) continue;  // EINTR
    if (watched[1].revents != 0 || !Deliver()) return;
  }
}

/** Hands over what has arrived, at most kEventBatch datagrams; false when it is time to end. */
bool NetlinkMonitor::Deliver() {
  std::vector<NetlinkMessage> messages;
  int error = 0;
  try {
    for (int datagrams = 0; datagrams < kEventBatch; datagrams++) {
      const size_t size = ReceiveDatagram(fd_.get(), buffer_);
      ForEachMessage(std::span(buffer_).first(size), [&](const nlmsghdr&, std::span<const uint8_t> message) {
        messages.emplace_back(message.begin(), message.end());
      });
    }
  } catch (const SystemError& failure) {
    error = failure.error();
  }
  if (!messages.empty() && !on_messages_(std::move(messages))) return false;
  if (error == 0 || error == EAGAIN) return true;
  const bool goes_on = on_messages_({});
  return goes_on && (error == ENOBUFS || error == EMSGSIZE);
}

}  // namespace hopsack
