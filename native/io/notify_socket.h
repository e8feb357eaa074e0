// Datagrams of text with open descriptors on a unix socket: the protocol of sd_notify(3). A daemon sends them to its
// service manager, or to the daemon that takes over from it, which receives them here. Knows no text.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/unique_fd.h"

namespace hopsack {

/** More than any daemon hands over at once. */
inline constexpr size_t kMaxNotifiedFds = 8;

/**
 * Sends `text` and copies of `fds` to the socket at `address`: a path, or `@name` in the abstract namespace. Waits a
 * second at most. @throws SystemError: ENOENT, ECONNREFUSED, EAGAIN, ENAMETOOLONG
 */
void SendNotification(const std::string& address, const std::string& text, std::span<const int> fds);

class NotifySocket {
 public:
  struct Notification {
    std::string text;
    std::vector<UniqueFd> fds;
  };

  /** Makes the socket file; whoever made it removes it. @throws SystemError: EADDRINUSE, ENAMETOOLONG */
  explicit NotifySocket(const std::string& path);

  /** The next datagram, nothing when none is there. Never waits. @throws SystemError */
  std::optional<Notification> Receive() const;

 private:
  UniqueFd fd_;
};

}  // namespace hopsack
