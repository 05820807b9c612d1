#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace fathom {

/// bytes[offset, offset + size), or nothing when that is not inside; no sum can overflow.
inline std::optional<std::span<const std::byte>> slice(std::span<const std::byte> bytes,
                                                       uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(size_t(offset), size_t(size));
}

/// The little-endian number at offset. The caller has checked that it is inside.
template <class T>
T little_endian(std::span<const std::byte> bytes, uint64_t offset) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, bytes.subspan(size_t(offset), sizeof value).data(), sizeof value);
  return value;
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A text from a file as part of a message: short, printable, in quotes.
inline std::string shown(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 80)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > 80 ? "...'" : "'");
}

}  // namespace fathom
