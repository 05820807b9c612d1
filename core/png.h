#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// Lossless PNG through libpng, written whole or not at all. 16-bit maps keep all 16 bits. Throws
/// Error in a build without libpng.
void write_png(const std::filesystem::path& path, const Image8& image);
void write_png(const std::filesystem::path& path, const Image16& image);
bool can_write_png();
/// The bytes of such a file; `name` is for messages.
std::vector<std::byte> encode_png(const Image8& image, std::string_view name);
std::vector<std::byte> encode_png(const Image16& image, std::string_view name);

/// How integers stand for numbers: value = offset + scale * stored.
struct StoredScale {
  double scale = 1, offset = 0;
};

/// Usual scales of metric depth; 0 means unknown. KITTI's reaches 256 m, millimetres 65.5 m.
inline constexpr StoredScale kMillimetres{.scale = 1e-3}, kKittiDepth{.scale = 1.0 / 256};

/// Maps the smallest finite value to 0 and the largest to 65535, as MiDaS does; for relative maps,
/// where every file has a scale of its own, to be kept beside it. A constant map becomes 0.
StoredScale full_range(const MapView& map);

/// A map as 16-bit integers: round((value - offset) / scale), limited to 0..65535; NaN becomes 0
/// and infinities the limits. `clipped` counts the values that had to be limited.
struct StoredMap {
  Image16 image;
  int64_t clipped = 0;
};
StoredMap store(const MapView& map, StoredScale scale);

/// The numbers behind the integers: offset + scale * stored.
FloatMap restore(const Image16& image, StoredScale scale);

}  // namespace fathom
