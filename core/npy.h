#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "core/float_map.h"

namespace fathom {

/// NumPy's .npy, version 1.0: float32, little-endian, C order, shape (height, width).
void write_npy(const std::filesystem::path& path, const MapView& map);

/// Reads a map of f16, f32, f64, u8, u16 or bool in either byte order, C or Fortran order, as
/// float. Extents of 1 around the map, as in (1, 1, H, W) or (H, W, 1), are dropped.
/// Source: NumPy, "The .npy format" (NEP 1), versions 1.0 to 3.0.
/// Throws  Error naming the file: other dtypes, other shapes, fewer bytes than the shape needs.
FloatMap read_npy(const std::filesystem::path& path);
FloatMap read_npy(std::span<const std::byte> file, std::string_view name);

}  // namespace fathom
