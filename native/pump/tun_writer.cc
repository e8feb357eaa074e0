#include "pump/tun_writer.h"

#include <cerrno>

namespace hopsack {

void TunWriter::WriteAll(Coalescer& coalescer) {
  for (size_t item = 0; item < coalescer.item_count(); item++) WriteItem(coalescer, item);
}

void TunWriter::WriteItem(Coalescer& coalescer, size_t item) {
  const Coalescer::Write super = coalescer.Build(item);
  if (super.packets > 1) {
    if (writev(tun_fd_, super.iov, static_cast<int>(super.iov_count)) >= 0) {
      counters_.Add(Counter::tun_tx_super_packets);
      return CountWrite(super.packets, super.bytes);
    }
    if (errno == EINVAL) {
      // 6.11-rc and 6.6.44 refuse valid super-packets; nothing coalesced will pass on this kernel.
      counters_.Add(Counter::tun_gro_fallbacks);
      coalescer.Disable();
      shared_.Set(Gauge::offload_tun_gro, 0);
    }
  }
  coalescer.ForEachPacket(item, [this](const IpPacket& packet) { WriteSingle(packet); });
}

void TunWriter::WriteSingle(const IpPacket& packet) {
  VirtioNetHeader no_offload{};
  iovec iov[] = {{&no_offload, sizeof no_offload}, {packet.data(), packet.size()}};
  const int skip = vnet_header_ ? 0 : 1;
  if (writev(tun_fd_, iov + skip, 2 - skip) < 0) return counters_.Drop(DropReason::tun_refused);
  CountWrite(1, packet.size());
}

void TunWriter::CountWrite(size_t packets, size_t bytes) {
  counters_.Add(Counter::tun_tx_writes);
  counters_.Add(Counter::tun_tx_packets, packets);
  counters_.Add(Counter::tun_tx_bytes, bytes);
}

}  // namespace hopsack
