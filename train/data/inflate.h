#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace fathom {

/// Decompresses raw deflate data of known size through zlib, as zip archives hold it.
/// Throws Error with the reason alone: damage, another size, a build without zlib.
std::vector<std::byte> inflate_raw(std::span<const std::byte> compressed, size_t size);

}  // namespace fathom
