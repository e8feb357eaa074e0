#include "pump/tun_writer.h"

#include <array>
#include <cerrno>

#include "pump/segmenter.h"
#include "pump/unfinished.h"

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
    // What came in whole is a stranger's work: that one is refused says nothing about the others.
    if (errno == EINVAL && !super.is_whole) {
      // 6.11-rc and 6.6.44 refuse valid super-packets; nothing coalesced will pass on this kernel.
      counters_.Add(Counter::tun_gro_fallbacks);
      coalescer.Disable();
      shared_.Set(Gauge::offload_tun_gro, 0);
    }
  }
  coalescer.ForEachPacket(item, [this](const IpPacket& packet, size_t gso_size) { Write(packet, gso_size); });
}

void TunWriter::Write(const IpPacket& packet, size_t gso_size) {
  const VirtioNetHeader offload = OffloadOf(packet, gso_size);
  if (offload.gso_type != kVirtioGsoNone) return WriteSegments(packet, offload);
  if (!vnet_header_ && offload.flags != 0) FinishChecksum(packet.bytes, offload);
  WritePieces(offload, packet.bytes, {});
}

void TunWriter::WriteSegments(const IpPacket& packet, const VirtioNetHeader& offload) {
  Segmenter segmenter;
  if (!segmenter.Init(packet, offload)) return counters_.Drop(DropReason::bad_inner_packet);
  std::array<uint8_t, kMaxInnerHeaderBytes> header;
  for (size_t i = 0; i < segmenter.segment_count(); i++) {
    const ConstBytes payload = segmenter.Stamp(i, header.data());
    WritePieces({}, ConstBytes(header.data(), segmenter.header_bytes()), payload);
  }
}

/** One packet in two pieces; the second may be empty. */
void TunWriter::WritePieces(VirtioNetHeader offload, ConstBytes head, ConstBytes tail) {
  const std::array<iovec, 3> iov = {{{&offload, sizeof offload},
                                     {const_cast<uint8_t*>(head.data()), head.size()},
                                     {const_cast<uint8_t*>(tail.data()), tail.size()}}};
  const int skip = vnet_header_ ? 0 : 1;
  if (writev(tun_fd_, iov.data() + skip, 3 - skip) < 0) return counters_.Drop(DropReason::tun_refused);
  CountWrite(1, head.size() + tail.size());
}

void TunWriter::CountWrite(size_t packets, size_t bytes) {
  counters_.Add(Counter::tun_tx_writes);
  counters_.Add(Counter::tun_tx_packets, packets);
  counters_.Add(Counter::tun_tx_bytes, bytes);
}

}  // namespace hopsack
