// Netlink sockets against the kernel that runs here: requests that only read, so nothing of the machine changes.
#include "io/netlink_socket.h"

#include <linux/rtnetlink.h>

#include <atomic>

#include "io/system_error.h"
#include "test/packets.h"

namespace hopsack::test {
namespace {

/** RTM_GETLINK for one interface, or for all with NLM_F_DUMP. */
Packet GetLink(uint32_t sequence, int flags, int if_index) {
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } request{};
  request.header = {sizeof request, RTM_GETLINK, static_cast<uint16_t>(NLM_F_REQUEST | flags), sequence, 0};
  request.body.ifi_index = if_index;
  Packet bytes(sizeof request);
  std::memcpy(bytes.data(), &request, sizeof request);
  return bytes;
}

nlmsghdr HeaderOf(const NetlinkMessage& message) {
  nlmsghdr header{};
  std::memcpy(&header, message.data(), sizeof header);
  return header;
}

std::vector<NetlinkMessage> Request(NetlinkSocket& socket, const std::vector<Packet>& requests) {
  const std::vector<std::span<const uint8_t>> views(requests.begin(), requests.end());
  return socket.Request(views);
}

int ErrnoOf(NetlinkSocket& socket, const Packet& request) {
  try {
    Request(socket, {request});
    return 0;
  } catch (const SystemError& error) {
    return error.error();
  }
}

}  // namespace

TEST("netlink socket: every request of many is answered, in order, with its data and its end") {
  NetlinkSocket socket;
  std::vector<Packet> requests;
  for (uint32_t i = 0; i < 300; i++) {
    const bool is_refused = i % 3 == 0;
    requests.push_back(GetLink(1000 + i, NLM_F_ACK, is_refused ? INT32_MAX : 1));
    if (i % 100 == 50) requests.back() = GetLink(1000 + i, NLM_F_DUMP, 0);
  }
  std::vector<size_t> ends(300), links(300);
  uint32_t last = 1000;
  for (const NetlinkMessage& message : Request(socket, requests)) {
    const nlmsghdr header = HeaderOf(message);
    CHECK(header.nlmsg_len == message.size() && header.nlmsg_seq >= last && header.nlmsg_seq < 1300);
    last = header.nlmsg_seq;
    if (header.nlmsg_type == RTM_NEWLINK) links[last - 1000]++;
    if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) ends[last - 1000]++;
  }
  for (size_t i = 0; i < 300; i++) {
    CHECK(ends[i] == 1);
    const bool is_refused = i % 3 == 0 && i % 100 != 50;
    CHECK(is_refused ? links[i] == 0 : links[i] >= 1);
  }
}

TEST("netlink socket: a request that is cut short or asks for no answer is not sent, and the socket works on") {
  NetlinkSocket socket;
  const Packet good = GetLink(7, NLM_F_ACK, 1);
  for (size_t length = 0; length < good.size(); length++) {
    CHECK(ErrnoOf(socket, Packet(good.begin(), good.begin() + static_cast<ptrdiff_t>(length))) == EINVAL);
  }
  CHECK(ErrnoOf(socket, GetLink(8, 0, 1)) == EINVAL);
  CHECK(ErrnoOf(socket, good) == 0);
}

TEST("netlink monitor: ends when told to, at any moment and twice, and says no to groups that are not there") {
  for (int round = 0; round < 50; round++) {
    std::atomic<size_t> batches{0};
    NetlinkMonitor monitor(NETLINK_ROUTE, std::vector<int>{RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE},
                           [&](const std::vector<NetlinkMessage>&) {
                             batches++;
                             return true;
                           });
    if (OneIn(2)) std::this_thread::yield();
    monitor.Stop();
    const size_t before = batches;
    monitor.Stop();
    CHECK(batches == before);
  }
  int refused = 0;
  try {
    const NetlinkMonitor monitor(NETLINK_ROUTE, std::vector<int>{4096},
                                 [](const std::vector<NetlinkMessage>&) { return true; });
  } catch (const SystemError& error) {
    refused = error.error();
  }
  CHECK(refused == EINVAL);
}

}  // namespace hopsack::test
