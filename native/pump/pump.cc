#include "pump/pump.h"

#include <pthread.h>

#include <stdexcept>

#include "io/ipip_socket.h"
#include "io/thread.h"
#include "io/udp_socket.h"
#include "pump/inbound.h"
#include "pump/naive.h"
#include "pump/outbound.h"

namespace hopsack {
namespace {

/** Goes on with `handed_over` if there is one. */
TunnelSocket OpenSocket(const PumpOptions& options, UniqueFd handed_over) {
  if (options.outer.is_ipip) {
    const in_addr local = options.local.sin_addr;
    return handed_over ? IpipSocket(std::move(handed_over), local) : IpipSocket(local);
  }
  return handed_over ? UdpSocket(std::move(handed_over), options.local) : UdpSocket(options.local);
}

std::vector<TunnelSocket> OpenSenders(const PumpOptions& options) {
  std::vector<TunnelSocket> senders;
  if (options.outer.is_ipip) senders.push_back(OpenFragmentingIpipSocket(options.local.sin_addr));
  for (UdpSocket& socket : OpenFlowSockets(options.local, options.source_ports)) senders.push_back(std::move(socket));
  return senders;
}

}  // namespace

// The socket first: a taken port is found before a device exists.
Pump::Pump(PumpOptions options)
    : is_handed_over_(options.handed_over.tun && options.handed_over.socket),
      shared_(options.counter_words, options.peer_bytes),
      naive_(options.naive),
      port_(options.local.sin_port),
      wake_(options.wake),
      socket_(OpenSocket(options, is_handed_over_ ? std::move(options.handed_over.socket) : UniqueFd())),
      senders_(OpenSenders(options)),
      lanes_(Lanes(options.outer)),
      tun_(is_handed_over_ ? Tun(std::move(options.handed_over.tun), options.tun_name, !options.naive)
                           : Tun(options.tun_name, !options.naive)),
      tun_name_(tun_->name()),
      tun_if_index_(tun_->if_index()),
      context_{tun_->fd(),
               socket_->fd(),
               lanes_,
               ProbeOffloads(options),
               !options.naive,
               options.overhead_bytes,
               options.inner_mtu_bytes,
               options.expected_header,
               options.check_inner_addresses,
               OpenPunts(options),
               fibs_,
               stop_,
               shared_,
               options.outer} {}

/** IP-in-IP: by DF (OuterRules); UDP: the ports of flows, or the only one. */
std::vector<int> Pump::Lanes(const OuterRules& outer) const {
  std::vector<int> lanes;
  if (outer.is_ipip || senders_.empty()) lanes.push_back(socket_->fd());
  for (const TunnelSocket& socket : senders_) lanes.push_back(socket.fd());
  return lanes;
}

std::vector<uint16_t> Pump::source_ports() const {
  if (senders_.empty()) return {socket_->port()};
  std::vector<uint16_t> ports;
  for (const TunnelSocket& socket : senders_) ports.push_back(socket.port());
  return ports;
}

PuntQueue* Pump::OpenPunts(const PumpOptions& options) {
  return options.punts.empty() ? nullptr : &punts_.emplace(options.punts);
}

OffloadFlags Pump::ProbeOffloads(const PumpOptions& options) {
  const OffloadFlags& wanted = options.offloads;
  OffloadFlags granted{};
  const bool gro = socket_->SetGro(wanted.udp_gro && !options.naive);
  if (!options.naive) {
    const Tun::Offloads tun = tun_->SetOffloads({wanted.tso, wanted.uso});
    granted = {tun.tso, tun.uso, wanted.udp_gso && socket_->SupportsGso(), gro,
               // A device handed over is up, and a probe would be a packet: a write that is refused falls back.
               wanted.tun_gro && (is_handed_over_ || tun_->AcceptsGsoWrites())};
  }
  shared_.Set(Gauge::offload_tso, granted.tso);
  shared_.Set(Gauge::offload_uso, granted.uso);
  shared_.Set(Gauge::offload_udp_gso, granted.udp_gso);
  shared_.Set(Gauge::offload_udp_gro, granted.udp_gro);
  shared_.Set(Gauge::offload_tun_gro, granted.tun_gro);
  shared_.Set(Gauge::device_lost, 0);
  return granted;
}

void Pump::Publish(std::unique_ptr<const Fib> fib) {
  if (fib->peer_slots() > shared_.peer_slots()) throw std::invalid_argument("a peer beyond those that are counted");
  shared_.Set(Gauge::fib_routes, fib->route_count());
  fibs_.Publish(std::move(fib));
}

void Pump::Start() {
  if (!threads_.empty() || stop_.signalled()) return;
  try {
    if (punts_.has_value()) StartThread("hopsack-punt", [this] { WatchPunts(); });
    if (naive_) {
      StartThread("hopsack-naive", [loop = std::make_shared<NaiveLoop>(context_)] { loop->Run(); });
    } else {
      StartThread("hopsack-out", [out = std::make_shared<Outbound>(context_)] { out->Run(); });
      StartThread("hopsack-in", [in = std::make_shared<Inbound>(context_)] { in->Run(); });
    }
  } catch (const SystemError&) {
    Stop();  // half a pump is none
    throw;
  }
}

void Pump::StartThread(const char* name, std::function<void()> body) {
  threads_.push_back(hopsack::StartThread(std::move(body)));
  pthread_setname_np(threads_.back().native_handle(), name);
}

/** A thread of its own, since waking the control plane takes a lock, and the packet threads take none. */
void Pump::WatchPunts() {
  while (stop_.WaitFor(punts_->bell(), POLLIN)) {
    eventfd_t rung = 0;
    eventfd_read(punts_->bell(), &rung);
    wake_();
  }
}

void Pump::Answer(const Punt& punt, ConstBytes datagram) {
  if (!socket_.has_value()) return;
  const sockaddr_in to = {AF_INET, port_, {punt.sender}, {}};
  const auto* address = reinterpret_cast<const sockaddr*>(&to);
  CounterBlock counters;
  if (sendto(socket_->fd(), datagram.data(), datagram.size(), MSG_DONTWAIT, address, sizeof to) >= 0) {
    counters.Add(Counter::punt_answers);
  } else {
    counters.Drop(DropReason::send_refused);
  }
  counters.Publish(shared_);
}

void Pump::Stop() {
  stop_.Signal();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  tun_.reset();
  senders_.clear();
  socket_.reset();
}

}  // namespace hopsack
