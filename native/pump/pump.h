// The pump: a TUN, a socket on the underlay and the threads between them. Driven from one thread (JavaScript's) by way
// of addon/pump_wrap: construct, Publish, Start, Publish …, Stop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "io/tun.h"
#include "io/tunnel_socket.h"
#include "pump/counters.h"
#include "pump/stop_event.h"
#include "pump/thread_context.h"
#include "tables/fib.h"

namespace hopsack {

/** What a process before opened; both or none. */
struct HandedOver {
  UniqueFd tun;
  UniqueFd socket;
};

struct PumpOptions {
  std::string tun_name;
  OuterRules outer;
  sockaddr_in local;    // IP-in-IP: without a port
  size_t source_ports;  // over which inner flows are spread; 0: all is sent from local's
  ExpectedHeader expected_header;
  size_t overhead_bytes;
  size_t inner_mtu_bytes;  // of the TUN, once the control plane has set it up
  OffloadFlags offloads;   // wanted
  bool naive;
  bool check_inner_addresses;
  std::vector<PuntPattern> punts;  // datagrams for the control plane; none: it is asked nothing
  std::function<void()> wake;      // called when there may be some, on a thread of the pump's; must not block
  uint64_t* counter_words;         // kWordCount of them, valid until Stop has returned
  std::span<uint64_t> peer_bytes;  // for SharedCounters; as long
  HandedOver handed_over;
};

class Pump {
 public:
  /**
   * Opens socket and TUN, or goes on with those handed over, and probes the offloads. What was handed over is closed
   * when that fails. @throws SystemError, UnusableDescriptor
   */
  explicit Pump(PumpOptions options);
  ~Pump() { Stop(); }
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  const std::string& tun_name() const { return tun_name_; }
  unsigned tun_if_index() const { return tun_if_index_; }
  /** To hand over; only until Stop. */
  int tun_fd() const { return tun_->fd(); }
  int socket_fd() const { return socket_->fd(); }
  /** What inner packets are sent from; only until Stop. */
  std::vector<uint16_t> source_ports() const;

  void Publish(std::unique_ptr<const Fib> fib);
  /** @throws SystemError when there can be no more threads; the pump is then stopped */
  void Start();
  /** The next datagram for the control plane; false when none waits. */
  bool PopPunt(Punt* punt) { return punts_.has_value() && punts_->Pop(punt); }
  /** Sends what the control plane has to say to the host that asked, on our own port. */
  void Answer(const Punt& punt, ConstBytes datagram);
  /** Ends and joins the threads, then closes TUN and socket. May be called twice. */
  void Stop();

 private:
  std::vector<int> Lanes(const OuterRules& outer) const;
  OffloadFlags ProbeOffloads(const PumpOptions& options);
  PuntQueue* OpenPunts(const PumpOptions& options);
  void WatchPunts();
  void StartThread(const char* name, std::function<void()> body);

  const bool is_handed_over_;
  SharedCounters shared_;
  bool naive_;
  in_port_t port_;
  std::function<void()> wake_;
  std::optional<TunnelSocket> socket_;
  std::vector<TunnelSocket> senders_;  // beside socket_, or instead of it
  std::vector<int> lanes_;
  std::optional<Tun> tun_;
  std::string tun_name_;
  unsigned tun_if_index_;
  FibPublisher fibs_;
  StopEvent stop_;
  std::optional<PuntQueue> punts_;
  ThreadContext context_;
  std::vector<std::thread> threads_;
};

}  // namespace hopsack
