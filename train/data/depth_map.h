#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/float_map.h"

namespace fathom {

/// Whether the numbers of a label file grow with distance (depth) or with nearness (disparity).
enum class LabelKind : uint8_t { depth, disparity };

/// A condition on a stored number, before any scale: "65535", "nan", "inf", "<=0", "<0.1",
/// ">65500",
/// ">=10000".
struct Marker {
  enum class Relation : uint8_t { equal, below, at_most, above, at_least, nan, infinite };
  Relation relation = Relation::equal;
  float value = 0;
  bool matches(float stored) const;
};
/// Throws Error for a text that is none of the above.
Marker parse_marker(std::string_view text);

/// How the numbers of a label file are to be read. value = scale * stored; then depth = value *
/// unit_m metres, or disparity = value / unit_m inverse metres; unit_m is 0 where the scale of the
/// world is not known.
struct LabelFormat {
  LabelKind kind = LabelKind::depth;
  double scale = 1;
  double unit_m = 0;
  std::vector<Marker> invalid = {};  // what is never valid (depth_map below) need not stand here
  std::vector<Marker> sky = {};      // infinitely far: TartanAir's ">=10000", Virtual KITTI's 65535
  /// Pixels count only where the mask file's number is above this.
  double mask_above = 0;
  /// Keep what lies between these percentiles of the valid numbers (MegaDepth: 1 and 98).
  double lowest_percent = 0, highest_percent = 100;
  /// A map with a stored number below this is refused whole (MegaDepth's ordinal maps: 0).
  std::optional<double> refuse_below = std::nullopt;
  /// Not 0: the numbers are distances along the ray of a pinhole camera with this focal length and
  /// its centre in the middle; they become z (Hypersim: 886.81).
  double ray_focal_px = 0;
};

/// What a label becomes.
enum class DepthTarget : uint8_t {
  inverse_depth,  // 1 / depth, or the disparity, divided by the map's largest: 0 (sky) to 1
  metres,         // needs unit_m; sky has no distance and is not valid
};

/// A label, row-major [height, width]. mask: 1 valid, 0 not; values are 0 where it is 0.
struct DepthMap {
  int64_t height = 0, width = 0;
  std::vector<float> values = {};
  std::vector<uint8_t> mask = {};
};

/// Reads a label: validity, cleaning, sky, conversion, scaling, in this order.
///
/// Never valid: NaN, infinity, depth of 0 or less, negative disparity, what `invalid` matches, what
/// the mask leaves out. Sky (also where the sky map is not 0) is valid with inverse depth 0,
/// whatever was stored there. The masks may have another size; the nearest pixel counts. Throws
/// Error when no pixel is valid, or the target needs a unit that the format does not state. Source:
/// Yang et al., "Depth Anything" (2024), section 3.1; MegaDepth's and Hypersim's loaders.
DepthMap depth_map(FloatMap stored, const LabelFormat& format, DepthTarget target,
                   const FloatMap* mask = nullptr, const FloatMap* sky = nullptr);

}  // namespace fathom
