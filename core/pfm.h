#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "core/float_map.h"

namespace fathom {

/// Portable float map of one channel: "Pf", rows from the bottom up, scale -1.0 (little-endian).
void write_pfm(const std::filesystem::path& path, const MapView& map);

/// Reads a PFM of one channel in either byte order. The size of the scale is ignored, as
/// everybody does; only its sign counts. Infinity, where a file marks unknown values, is kept.
/// Source: P. Debevec, "PFM"; Middlebury stereo, "Disparity maps in PFM".
/// Throws  Error naming the file and the reason.
FloatMap read_pfm(const std::filesystem::path& path);
FloatMap read_pfm(std::span<const std::byte> file, std::string_view name);

}  // namespace fathom
