// One eventfd that all threads of a pump poll beside their work: written once, never read, so that everybody sees it.
// No wait is longer than half a second, so that an idle thread shows that it lives.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <atomic>

#include "io/system_error.h"
#include "io/unique_fd.h"

namespace hopsack {

class StopEvent {
 public:
  StopEvent() : fd_(Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

  void Signal() {
    signalled_.store(true, std::memory_order_release);
    eventfd_write(fd_.get(), 1);
  }
  bool signalled() const { return signalled_.load(std::memory_order_acquire); }

  /** Sleeps until `fd` has one of `events` (or an error), the pump stops, or for half a second; false when it stops. */
  bool WaitFor(int fd, short events) const {
    std::array<pollfd, 2> fds = {{{fd, events, 0}, {fd_.get(), POLLIN, 0}}};
    while (poll(fds.data(), fds.size(), kLongestWaitMs) < 0 && errno == EINTR) {
    }
    return !signalled();
  }
  /** The same for input on either of two. */
  bool WaitForEither(int a, int b) const {
    std::array<pollfd, 3> fds = {{{a, POLLIN, 0}, {b, POLLIN, 0}, {fd_.get(), POLLIN, 0}}};
    while (poll(fds.data(), fds.size(), kLongestWaitMs) < 0 && errno == EINTR) {
    }
    return !signalled();
  }

  /** Sleeps until the pump stops, or for half a second. */
  bool WaitForStop() const { return WaitFor(-1, 0); }

 private:
  static constexpr int kLongestWaitMs = 500;

  UniqueFd fd_;
  std::atomic<bool> signalled_{false};
};

}  // namespace hopsack
