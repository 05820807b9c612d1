#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fathom {

/// CRC-32C (Castagnoli): polynomial 0x1edc6f41, reflected. Source: RFC 3720, appendix B.4.
uint32_t crc32c_of(std::span<const std::byte> bytes);

}  // namespace fathom
