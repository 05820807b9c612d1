#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace fathom {

using Bytes = std::span<const std::byte>;

/// The unsigned integer stored in `count` bytes at `offset`. Throws Error beyond the end.
inline uint64_t read_uint(Bytes bytes, size_t offset, size_t count, std::endian order) {
  check(count <= bytes.size() && offset <= bytes.size() - count,
        "the file ends early: ", bytes.size(), " bytes, needs ", offset + count);
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = order == std::endian::big ? i : count - 1 - i;
    value = value << 8 | uint64_t(bytes[offset + at]);
  }
  return value;
}

inline uint32_t read_big16(Bytes bytes, size_t offset) {
  return uint32_t(read_uint(bytes, offset, 2, std::endian::big));
}
inline uint32_t read_big32(Bytes bytes, size_t offset) {
  return uint32_t(read_uint(bytes, offset, 4, std::endian::big));
}
inline uint32_t read_little16(Bytes bytes, size_t offset) {
  return uint32_t(read_uint(bytes, offset, 2, std::endian::little));
}
inline uint32_t read_little32(Bytes bytes, size_t offset) {
  return uint32_t(read_uint(bytes, offset, 4, std::endian::little));
}

inline bool starts_with(Bytes bytes, std::string_view text) {
  if (bytes.size() < text.size()) return false;
  for (size_t i = 0; i < text.size(); ++i)
    if (bytes[i] != std::byte(text[i])) return false;
  return true;
}

/// Runs f and puts the file's name before whatever it throws, so that parsers need not carry it.
template <class F>
auto naming(std::string_view name, F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw Error(std::string(name) + ": " + error.what(), error.where());
  } catch (const std::bad_alloc&) {
    fail(name, ": not enough memory to read it");
  }
}

}  // namespace fathom
