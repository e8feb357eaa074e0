// The attacker of `npm run attack`: sends forged datagrams as fast as one thread can. Arguments: address, port, how
// many in all. Standard input: a line for each kind, `SOURCE HEX`. Says in JSON how many of each kind the kernel took.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "io/system_error.h"
#include "io/unique_fd.h"

namespace hopsack {
namespace {

/** Of one kind, in one system call. */
constexpr size_t kBatch = 64;

struct Kind {
  int socket;
  std::vector<uint8_t> bytes;
  uint64_t sent = 0;
};

std::vector<uint8_t> FromHex(const std::string& text) {
  std::vector<uint8_t> bytes(text.size() / 2);
  for (size_t i = 0; i < bytes.size(); i++) std::from_chars(&text[2 * i], &text[2 * i] + 2, bytes[i], 16);
  return bytes;
}

UniqueFd OpenSocket(const std::string& source, const sockaddr_in& target) {
  UniqueFd fd(Check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr_in local = {AF_INET, 0, {inet_addr(source.c_str())}, {}};
  Check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local), "bind");
  Check(connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), "connect");
  return fd;
}

/** One batch; what the kernel did not take is tried again with the next one. */
void SendBatch(Kind& kind, uint64_t limit) {
  iovec bytes = {kind.bytes.data(), kind.bytes.size()};
  std::array<mmsghdr, kBatch> messages{};
  for (mmsghdr& message : messages) message.msg_hdr.msg_iov = &bytes, message.msg_hdr.msg_iovlen = 1;
  const auto count = static_cast<unsigned>(std::min<uint64_t>(kBatch, limit));
  const int taken = sendmmsg(kind.socket, messages.data(), count, 0);
  if (taken > 0) kind.sent += static_cast<uint64_t>(taken);
}

void Flood(const sockaddr_in& target, uint64_t total) {
  std::map<std::string, UniqueFd> sockets;
  std::vector<Kind> kinds;
  std::string source, hex;
  for (std::string line; std::getline(std::cin, line);) {
    const size_t blank = line.find(' ');
    source = line.substr(0, blank);
    if (!sockets.contains(source)) sockets.emplace(source, OpenSocket(source, target));
    kinds.push_back({sockets.at(source).get(), FromHex(line.substr(blank + 1))});
  }
  // Each kind has its share, the first ones what is left over.
  for (bool is_over = false; !is_over;) {
    is_over = true;
    for (size_t i = 0; i < kinds.size(); i++) {
      const uint64_t share = total / kinds.size() + (i < total % kinds.size() ? 1 : 0);
      if (kinds[i].sent == share) continue;
      SendBatch(kinds[i], share - kinds[i].sent);
      is_over = false;
    }
  }
  std::cout << "[";
  for (size_t i = 0; i < kinds.size(); i++) std::cout << (i == 0 ? "" : ",") << kinds[i].sent;
  std::cout << "]\n";
}

}  // namespace
}  // namespace hopsack

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: native_flood ADDRESS PORT COUNT\n";
    return 2;
  }
  const sockaddr_in target = {AF_INET, htons(static_cast<uint16_t>(std::stoul(argv[2]))), {inet_addr(argv[1])}, {}};
  hopsack::Flood(target, std::stoull(argv[3]));
}
