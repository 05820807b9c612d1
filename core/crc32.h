#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fathom {

/// CRC-32 of PNG, zlib and Ethernet: polynomial 0x04c11db7, reflected.
uint32_t crc32_of(std::span<const std::byte> bytes);

}  // namespace fathom
