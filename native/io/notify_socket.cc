#include "io/notify_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "io/system_error.h"

namespace hopsack {
namespace {

constexpr timeval kSendLimit = {1, 0};
constexpr size_t kMaxTextBytes = 4096;

struct alignas(cmsghdr) Control {
  std::array<uint8_t, CMSG_SPACE(kMaxNotifiedFds * sizeof(int))> bytes{};
};

struct UnixAddress {
  sockaddr_un address{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

UnixAddress ParseAddress(const std::string& text) {
  UnixAddress result;
  result.address.sun_family = AF_UNIX;
  if (text.empty() || text.size() >= sizeof result.address.sun_path) throw SystemError("sockaddr_un", ENAMETOOLONG);
  std::memcpy(result.address.sun_path, text.data(), text.size());
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  if (text[0] == '@') result.address.sun_path[0] = '\0';
  return result;
}

UniqueFd OpenSocket(int flags) {
  return UniqueFd(Check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0), "socket"));
}

void PutFds(msghdr& message, std::span<const int> fds) {
  message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
}

std::vector<UniqueFd> TakeFds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

void SendNotification(const std::string& address, const std::string& text, std::span<const int> fds) {
  if (fds.size() > kMaxNotifiedFds) throw SystemError("SCM_RIGHTS", EINVAL);
  const UnixAddress to = ParseAddress(address);
  const UniqueFd fd = OpenSocket(0);
  Check(setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit), "SO_SNDTIMEO");
  iovec line = {const_cast<char*>(text.data()), text.size()};
  Control control;
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.get());
  message.msg_namelen = to.length;
  message.msg_iov = &line;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  if (!fds.empty()) PutFds(message, fds);
  if (sendmsg(fd.get(), &message, MSG_NOSIGNAL) < 0) throw SystemError("sendmsg", errno);
}

NotifySocket::NotifySocket(const std::string& path) : fd_(OpenSocket(SOCK_NONBLOCK)) {
  const UnixAddress local = ParseAddress(path);
  Check(bind(fd_.get(), local.get(), local.length), "bind");
}

std::optional<NotifySocket::Notification> NotifySocket::Receive() const {
  std::string text(kMaxTextBytes, '\0');
  iovec line = {text.data(), text.size()};
  Control control;
  msghdr message{};
  message.msg_iov = &line;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t length = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  if (length < 0 && errno == EAGAIN) return std::nullopt;
  if (length < 0) throw SystemError("recvmsg", errno);
  text.resize(static_cast<size_t>(length));
  return Notification{std::move(text), TakeFds(message)};
}

}  // namespace hopsack
