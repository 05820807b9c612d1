#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/float_map.h"

namespace fathom {

bool is_exr(std::span<const std::byte> file);

/// Reads one channel of the first part of an OpenEXR file with scan lines, through OpenEXRCore:
/// half, float and uint, every compression that the library knows. The map is the data window.
///
/// channel: its name; empty for the only one, or the first there is of Z, Y, G and R (IRS).
/// Throws  Error naming the file: damage, tiles, deep data, more than max_pixels, no such channel
///         (all are listed), a build without the library.
FloatMap read_exr(std::span<const std::byte> file, std::string_view name, std::string_view channel,
                  int64_t max_pixels);

}  // namespace fathom
