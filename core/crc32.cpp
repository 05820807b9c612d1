#include "core/crc32.h"

#ifdef FATHOM_DEFLATE
#include <libdeflate.h>
#endif

#include <array>

namespace fathom {

#ifdef FATHOM_DEFLATE

uint32_t crc32_of(std::span<const std::byte> bytes) {
  return libdeflate_crc32(0, bytes.data(), bytes.size());  // carry-less products where there are
}

#else

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the register when k bytes follow it.
static constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    tables[0][b] = crc;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) {
      const uint32_t before = tables[k - 1][b];
      tables[k][b] = before >> 8 ^ tables[0][before & 0xff];
    }
  return tables;
}

// Eight bytes a step. Source: Kounavis and Berry, "A systematic approach to building high
// performance software-based CRC generators" (2005).
uint32_t crc32_of(std::span<const std::byte> bytes) {
  static constexpr Tables kTables = make_tables();
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  uint32_t crc = ~0u;
  for (; end - at >= 8; at += 8) {
    uint32_t next = 0;
    for (size_t i = 0; i < 8; ++i) {
      const uint32_t carried = i < 4 ? crc >> (8 * i) & 0xff : 0;
      next ^= kTables[7 - i][carried ^ uint32_t(at[i])];
    }
    crc = next;
  }
  for (; at != end; ++at) crc = crc >> 8 ^ kTables[0][(crc ^ uint32_t(*at)) & 0xff];
  return ~crc;
}

#endif

}  // namespace fathom
