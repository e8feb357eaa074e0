// Netlink sockets of any protocol: one for requests, one (with its own thread) for events. Knows nlmsghdr,
// to tell which request an answer belongs to, and nothing of what is inside.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "io/unique_fd.h"

namespace hopsack {

/** One whole message, nlmsghdr included. */
using NetlinkMessage = std::vector<uint8_t>;

class NetlinkSocket {
 public:
  /**
   * @param netns path of the network namespace to talk about, `/run/netns/x`; empty: the caller's own
   * @param protocol NETLINK_ROUTE, NETLINK_GENERIC
   * @throws SystemError: EINVAL when the path is no network namespace
   */
  explicit NetlinkSocket(const std::string& netns = {}, int protocol = NETLINK_ROUTE);

  /**
   * Sends the requests, as many at once as their answers fit the receive buffer, and returns every message received
   * until each is acknowledged, refused or (a dump) done. Each request is padded to 4 bytes, has a sequence number of
   * its own, and asks for an acknowledgement or a dump.
   * @throws SystemError: EINVAL for a request not like that; ENOBUFS or ETIMEDOUT when answers are missing: nobody
   * knows then which requests took effect
   */
  std::vector<NetlinkMessage> Request(std::span<const std::span<const uint8_t>> requests);

  /** The number of the network namespace, never given to another one; 0 before Linux 5.14. */
  uint64_t NetnsCookie() const;

 private:
  void SendBatch(std::span<const std::span<const uint8_t>> batch) const;
  void ReceiveAnswers(std::vector<uint32_t> pending, std::vector<NetlinkMessage>& answers);

  const int protocol_;
  UniqueFd netns_;
  UniqueFd fd_;
  std::vector<uint8_t> buffer_;
};

class NetlinkMonitor {
 public:
  /** Called on the monitor's thread. Empty: events were lost. Returns false to end the thread. */
  using OnMessages = std::function<bool(std::vector<NetlinkMessage>)>;

  /**
   * @param protocol NETLINK_ROUTE, NETLINK_NETFILTER …
   * @throws SystemError: EINVAL for a group the kernel does not know, EPROTONOSUPPORT for a protocol it was built
   * without
   */
  NetlinkMonitor(int protocol, std::span<const int> groups, OnMessages on_messages);
  NetlinkMonitor(const NetlinkMonitor&) = delete;
  NetlinkMonitor& operator=(const NetlinkMonitor&) = delete;
  ~NetlinkMonitor() { Stop(); }

  /** Ends the thread and waits for it; `on_messages` must not be blocking then. May be called twice. */
  void Stop();

 private:
  void Run();
  bool Deliver();

  UniqueFd fd_;
  UniqueFd stop_;
  OnMessages on_messages_;
  std::vector<uint8_t> buffer_;
  std::thread thread_;
};

}  // namespace hopsack
