#pragma once

#include <array>
#include <cstdint>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// The tables of the reference programs: INFERNO (OpenCV, V1), Spectral_r (matplotlib, relative
/// V2: red is near) and Spectral (metric V2, whose input grows with distance: red is near too).
enum class ColorMap { inferno, spectral_r, spectral };

using Rgb = std::array<uint8_t, 3>;
const std::array<Rgb, 256>& color_table(ColorMap map);

/// Colours a map as the reference does: index = (value - low) / (high - low) * 255 in float,
/// truncated. Values outside the range take the colour of its end, NaN that of index 0. Where
/// low == high, which the reference divides by, everything has index 0.
/// Source: Depth Anything V1 and V2, run.py.
Image8 colorize(const MapView& map, float low, float high, ColorMap colors);

/// The smallest and the largest finite value; 0 and 0 when there is none.
struct Range {
  float low = 0, high = 0;
};
Range finite_range(const MapView& map);

/// The photo, a white gap of 50 pixels, and the coloured map, which must have its height.
Image8 side_by_side(const Image8& photo, const Image8& colored);

}  // namespace fathom
