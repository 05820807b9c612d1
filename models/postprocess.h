#pragma once

#include <cstdint>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// How a predicted map is brought to the photo's size.
enum class MapResize {
  bilinear,          // half-pixel centres (align_corners false): Depth Anything V1
  bilinear_corners,  // corner pixels map to corner pixels (align_corners true): V2 and its metric
                     // models
  bicubic,           // a = -0.75, half-pixel centres: Hugging Face's processor, MiDaS
};

/// As the script of a version's authors does it.
constexpr MapResize map_resize_of(int64_t version) {
  return version == 1 ? MapResize::bilinear : MapResize::bilinear_corners;
}

/// Resizes a map as torch.nn.functional.interpolate does. Positions and weights are in double, sums
/// too, rounded once to float. Runs on the thread pool; the bits do not depend on it.
/// Source: PyTorch, aten/src/ATen/native/UpSample.h.
FloatMap resize_map(const MapView& map, ImageSize size, MapResize method);

}  // namespace fathom
