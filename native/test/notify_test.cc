// Descriptors that travel from one process to another: sent, received, judged.
#include <sys/socket.h>
#include <unistd.h>

#include "io/handed_over.h"
#include "io/notify_socket.h"
#include "io/system_error.h"
#include "io/tun.h"
#include "io/udp_socket.h"
#include "test/check.h"

namespace hopsack::test {
namespace {

sockaddr_in Loopback(uint16_t port) {
  return {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {}};
}

sockaddr_in BoundTo(const UdpSocket& socket) {
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  Check(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound), &length), "getsockname");
  return bound;
}

template <typename Make>
std::string Refusal(Make make) {
  try {
    make();
  } catch (const UnusableDescriptor& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST("a notification carries text and open descriptors") {
  const std::string address = "@hopsack-notify-test-" + std::to_string(getpid());
  const NotifySocket receiver(address);
  CHECK(!receiver.Receive().has_value());
  int ends[2];
  Check(pipe(ends), "pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  SendNotification(address, "FDSTORE=1", std::array{write_end.get()});
  SendNotification(address, "READY=1", {});
  write_end.Reset();

  const auto first = receiver.Receive();
  CHECK(first.has_value() && first->text == "FDSTORE=1" && first->fds.size() == 1);
  CHECK(write(first->fds[0].get(), "x", 1) == 1);
  char byte = 0;
  CHECK(read(read_end.get(), &byte, 1) == 1 && byte == 'x');
  const auto second = receiver.Receive();
  CHECK(second.has_value() && second->text == "READY=1" && second->fds.empty());
}

TEST("a notification to nobody is an error") {
  int error = 0;
  try {
    SendNotification("@hopsack-nobody-" + std::to_string(getpid()), "READY=1", {});
  } catch (const SystemError& caught) {
    error = caught.error();
  }
  CHECK(error == ECONNREFUSED);
}

TEST("a socket that was handed over goes on with what is queued in it") {
  const UdpSocket before(Loopback(0));
  const sockaddr_in bound = BoundTo(before);
  CHECK(sendto(before.fd(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&bound), sizeof bound) == 1);
  const UdpSocket after(UniqueFd(dup(before.fd())), bound);
  char byte = 0;
  CHECK(recv(after.fd(), &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x');
}

TEST("a descriptor of another kind is refused, and the refusal says what it is") {
  const UdpSocket socket(Loopback(0));
  const sockaddr_in elsewhere = Loopback(static_cast<uint16_t>(ntohs(BoundTo(socket).sin_port) ^ 1));
  CHECK(Refusal([&] { UdpSocket(UniqueFd(dup(socket.fd())), elsewhere); }) ==
        "the UDP socket is bound to another address or port");
  CHECK(Refusal([&] { UdpSocket(UniqueFd(dup(0)), elsewhere); }) == "it is no UDP socket");
  CHECK(Refusal([&] { Tun(UniqueFd(dup(socket.fd())), "flannel0", true); }) ==
        "it is no TUN device, or one that was removed");
  CHECK(Refusal([&] { Tun(UniqueFd(1000), "flannel0", true); }) == "it is no TUN device, or one that was removed");
}

}  // namespace hopsack::test
