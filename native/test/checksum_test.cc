#include "wire/checksum.h"

#include "test/packets.h"

namespace hopsack::test {

TEST("checksum: any length at any alignment gives what the slow sum gives") {
  for (int round = 0; round < 20000; round++) {
    const size_t offset = RandomBelow(64), length = RandomBelow(OneIn(10) ? 70000 : 300);
    const Packet bytes = RandomBytes(offset + length);
    const uint16_t slow = SlowSum(bytes.data() + offset, length);
    const uint16_t fast = ChecksumFold(ChecksumAdd(0, bytes.data() + offset, length));
    const uint16_t scalar = ChecksumFold(ChecksumAddScalar(0, bytes.data() + offset, length));
    CHECK(__builtin_bswap16(fast) == slow);
    CHECK(scalar == fast);
    if (round > 2000 && length > 1000) round += 50;
  }
}

TEST("checksum: no carry is lost when every bit is set") {
  const Packet ones(65535, 0xff);
  for (size_t length = 0; length < ones.size(); length += 97) {
    CHECK(__builtin_bswap16(ChecksumFold(ChecksumAdd(UINT64_MAX, ones.data(), length))) ==
          SlowSum(ones.data(), length, 0xffff));
  }
}

TEST("checksum: sums of pieces of even length add up to the sum of the whole") {
  for (int round = 0; round < 2000; round++) {
    const Packet bytes = RandomBytes(RandomBelow(3000));
    const size_t cut = RandomBelow(bytes.size() / 2 + 1) * 2 % (bytes.size() + 1) & ~size_t{1};
    const uint64_t first = ChecksumAdd(0, bytes.data(), cut);
    CHECK(ChecksumFold(ChecksumAdd(first, bytes.data() + cut, bytes.size() - cut)) ==
          ChecksumFold(ChecksumAdd(0, bytes.data(), bytes.size())));
  }
}

}  // namespace hopsack::test
