#include "tables/fib.h"

#include <arpa/inet.h>

#include <stdexcept>
#include <thread>

#include "test/packets.h"

namespace hopsack::test {
namespace {

void AppendLe32(Packet& bytes, uint32_t value) {
  for (int i = 0; i < 4; i++) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

Packet HopRecord(uint8_t last_byte, uint16_t header_bytes = 0, uint32_t header_offset = 0, uint32_t peer = 0) {
  Packet record = {192, 168, 50, last_byte, 0x5d, 0x20, static_cast<uint8_t>(header_bytes), 0};
  AppendLe32(record, header_offset);
  AppendLe32(record, peer);
  return record;
}

Packet RouteRecord(uint8_t third_byte, uint8_t length, uint32_t hop) {
  Packet record(16);
  record[0] = 10, record[1] = 244, record[2] = third_byte;
  record.insert(record.end(), {4, length, 0, 0});
  AppendLe32(record, hop);
  return record;
}

bool IsRefused(const Packet& hops, const Packet& headers, const Packet& routes, const Packet& own_subnets = {}) {
  try {
    const Fib fib(hops, headers, routes, own_subnets);
    return false;
  } catch (const std::invalid_argument&) {
    return true;
  }
}

}  // namespace

TEST("fib: finds the next hop with its port and header, and knows its peers") {
  const Packet headers = {1, 2, 3};
  const Fib fib(HopRecord(11, 3), headers, RouteRecord(2, 24, 0));
  Packet packet = MakePacket({});  // to 10.244.2.2
  const IpPacket view = View(packet);
  const NextHop* hop = fib.Lookup(view, view.destination());
  CHECK(hop != nullptr && ntohs(hop->endpoint.sin_port) == 8285 && hop->header_bytes == 3 && hop->header[2] == 3);
  CHECK(fib.Lookup(view, view.source()) == nullptr);
}

TEST("fib: a peer is found by its address, whichever place its next hop has, and nobody else is") {
  Packet hops;
  for (const uint8_t last_byte : std::array<uint8_t, 4>{30, 11, 250, 12}) {
    const Packet record = HopRecord(last_byte, 0, 0, last_byte);
    hops.insert(hops.end(), record.begin(), record.end());
  }
  const Fib fib(hops, {}, {});
  for (const char* address : {"192.168.50.11", "192.168.50.12", "192.168.50.30", "192.168.50.250"}) {
    const NextHop* hop = fib.FindPeer(inet_addr(address));
    CHECK(hop != nullptr && hop->endpoint.sin_addr.s_addr == inet_addr(address));
    CHECK(hop != nullptr && hop->peer == ntohl(inet_addr(address)) % 256);
  }
  for (const char* address : {"192.168.50.10", "192.168.50.13", "0.0.0.0", "255.255.255.255"}) {
    CHECK(fib.FindPeer(inet_addr(address)) == nullptr);
  }
  CHECK(fib.peer_slots() == 251);
  CHECK(Fib().FindPeer(inet_addr("192.168.50.11")) == nullptr && Fib().peer_slots() == 0);
}

TEST("fib: an address is this host's own within its subnets, to the bit, and in its family only") {
  Packet packet = MakePacket({});
  const IpPacket view = View(packet);
  const auto is_own = [&](uint8_t length, std::array<uint8_t, 4> address) {
    return Fib({}, {}, {}, RouteRecord(2, length, 0)).IsOwn(view, address.data());
  };
  CHECK(is_own(24, {10, 244, 2, 0}) && is_own(24, {10, 244, 2, 255}));
  CHECK(!is_own(24, {10, 244, 1, 255}) && !is_own(24, {10, 244, 3, 0}));
  CHECK(is_own(23, {10, 244, 3, 255}) && !is_own(23, {10, 244, 4, 0}));
  CHECK(is_own(32, {10, 244, 2, 0}) && !is_own(32, {10, 244, 2, 1}));
  CHECK(is_own(0, {192, 168, 50, 10}));
  CHECK(!Fib().IsOwn(view, view.destination()));
  Packet v6 = RouteRecord(2, 24, 0);
  v6[16] = 6;
  CHECK(!Fib({}, {}, {}, v6).IsOwn(view, view.destination()));
}

TEST("fib: records that do not fit each other are refused") {
  CHECK(!IsRefused(HopRecord(1), {}, RouteRecord(1, 24, 0)));
  CHECK(IsRefused(HopRecord(1), {}, RouteRecord(1, 24, 1)));
  CHECK(IsRefused(HopRecord(1), {}, RouteRecord(1, 33, 0)));
  CHECK(IsRefused(HopRecord(1, 4), {1, 2, 3}, {}));
  CHECK(IsRefused(HopRecord(1, 65), Packet(100), {}));
  CHECK(IsRefused(Packet(11), {}, {}));
  CHECK(IsRefused({}, {}, Packet(23)));
  CHECK(IsRefused({}, {}, {}, Packet(23)));
  CHECK(IsRefused({}, {}, {}, RouteRecord(1, 33, 0)));
}

TEST("fib publisher: readers see whole tables while they are replaced, and replaced tables are freed") {
  FibPublisher publisher;
  std::atomic<bool> stop{false};
  std::atomic<bool> torn{false};
  // Table i sends 10.244.2.0/24 to hop 192.168.50.i with header i: both must come from one table.
  Packet packet = MakePacket({});
  const IpPacket view = View(packet);
  const auto read = [&](size_t reader) {
    while (!stop.load()) {
      const Fib* fib = publisher.Acquire(reader);
      const NextHop* hop = fib->Lookup(view, view.destination());
      if (hop != nullptr && ntohl(hop->endpoint.sin_addr.s_addr) % 256 != hop->header[0]) torn = true;
      publisher.Release(reader);
    }
  };
  std::thread first(read, 0), second(read, 1);
  for (int i = 0; i < 300; i++) {
    const auto number = static_cast<uint8_t>(i);
    publisher.Publish(std::make_unique<const Fib>(HopRecord(number, 1), Packet{number}, RouteRecord(2, 24, 0)));
  }
  stop = true;
  first.join();
  second.join();
  publisher.Publish(std::make_unique<const Fib>());
  CHECK(!torn);
  CHECK(publisher.retired_count() == 0);
}

}  // namespace hopsack::test
