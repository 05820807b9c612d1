#include "train/data/depth_map.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace fathom {

bool Marker::matches(float stored) const {
  switch (relation) {
    case Relation::equal: return stored == value;
    case Relation::below: return stored < value;
    case Relation::at_most: return stored <= value;
    case Relation::above: return stored > value;
    case Relation::at_least: return stored >= value;
    case Relation::nan: return std::isnan(stored);
    case Relation::infinite: return std::isinf(stored);
  }
  fail("Marker: unknown relation ", int(relation));
}

Marker parse_marker(std::string_view text) {
  using enum Marker::Relation;
  if (text == "nan") return {nan};
  if (text == "inf") return {infinite};
  Marker marker;
  std::string_view number = text;
  const auto take = [&](std::string_view sign, Marker::Relation relation) {
    if (marker.relation != equal || !number.starts_with(sign)) return;
    marker.relation = relation;
    number.remove_prefix(sign.size());
  };
  take("<=", at_most);
  take(">=", at_least);
  take("<", below);
  take(">", above);
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), marker.value);
  check(parsed.ec == std::errc() && parsed.ptr == number.data() + number.size() &&
            std::isfinite(marker.value),
        "'", text, "' is not a marker; write a number, nan, inf, <=0, <0.1, >65500 or >=10000");
  return marker;
}

// What a pixel is worth while a label is read.
enum Pixel : uint8_t { kInvalid = 0, kValid = 1, kSky = 2 };

// The number at the same place of a map of another size.
class Aligned {
 public:
  Aligned(const FloatMap& map, int64_t height, int64_t width)
      : map_(map), height_(height), width_(width) {
    check_map("depth_map", map);
  }
  float at(int64_t y, int64_t x) const {
    return map_.values[size_t(y * map_.height / height_ * map_.width + x * map_.width / width_)];
  }

 private:
  const FloatMap& map_;
  int64_t height_, width_;
};

static std::vector<uint8_t> classify(const FloatMap& stored, const LabelFormat& format) {
  std::vector<uint8_t> pixels(stored.values.size());
  const float lowest =
      format.kind == LabelKind::depth ? std::numeric_limits<float>::denorm_min() : 0;
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = stored.values[i] >= lowest && stored.values[i] <= std::numeric_limits<float>::max();
  for (const Marker& marker : format.invalid)
    for (size_t i = 0; i < pixels.size(); ++i)
      if (marker.matches(stored.values[i])) pixels[i] = kInvalid;
  return pixels;
}

static void apply_mask(const FloatMap& mask, double above, const FloatMap& stored,
                       std::vector<uint8_t>& pixels) {
  const Aligned aligned(mask, stored.height, stored.width);
  for (int64_t y = 0, i = 0; y < stored.height; ++y)
    for (int64_t x = 0; x < stored.width; ++x, ++i)
      if (!(aligned.at(y, x) > above)) pixels[size_t(i)] = kInvalid;
}

static void apply_percentiles(const FloatMap& stored, double lowest, double highest,
                              std::vector<uint8_t>& pixels) {
  std::vector<float> valid;
  for (size_t i = 0; i < pixels.size(); ++i)
    if (pixels[i] == kValid) valid.push_back(stored.values[i]);
  if (valid.empty()) return;
  const auto at = [&](double percent) {
    const auto rank = ptrdiff_t(std::floor(percent / 100 * double(valid.size() - 1)));
    std::nth_element(valid.begin(), valid.begin() + rank, valid.end());
    return valid[size_t(rank)];
  };
  const float low = at(lowest), high = at(highest);
  for (size_t i = 0; i < pixels.size(); ++i)
    if (stored.values[i] < low || stored.values[i] > high) pixels[i] = kInvalid;
}

static void apply_sky(const FloatMap& stored, const LabelFormat& format, const FloatMap* sky,
                      std::vector<uint8_t>& pixels) {
  for (const Marker& marker : format.sky)
    for (size_t i = 0; i < pixels.size(); ++i)
      if (marker.matches(stored.values[i])) pixels[i] = kSky;
  if (sky == nullptr) return;
  const Aligned aligned(*sky, stored.height, stored.width);
  for (int64_t y = 0, i = 0; y < stored.height; ++y)
    for (int64_t x = 0; x < stored.width; ++x, ++i)
      if (aligned.at(y, x) != 0) pixels[size_t(i)] = kSky;
}

// z of a distance along the ray through every pixel's centre. Source: DepthAnything/
// Depth-Anything-V2, metric_depth/dataset/hypersim.py.
static FloatMap plane_depth(const FloatMap& distance, double focal_px) {
  FloatMap z = distance;
  for (int64_t y = 0, i = 0; y < z.height; ++y) {
    const double v = double(y) - 0.5 * double(z.height - 1);
    for (int64_t x = 0; x < z.width; ++x, ++i) {
      const double u = double(x) - 0.5 * double(z.width - 1);
      const double ray = std::sqrt(u * u + v * v + focal_px * focal_px);
      z.values[size_t(i)] = float(z.values[size_t(i)] * focal_px / ray);
    }
  }
  return z;
}

// Relative maps have no scale, so the unit cancels: the nearest valid pixel over this one, rounded
// once. Loops without branches, as a label has more pixels than the crop that is made of it.
static void fill_inverse_depth(const FloatMap& stored, LabelKind kind, DepthMap& map) {
  const size_t count = map.mask.size();
  const float* const from = stored.values.data();
  const uint8_t* const mask = map.mask.data();
  float* const to = map.values.data();
  if (kind == LabelKind::depth) {
    float nearest = std::numeric_limits<float>::max();
    for (size_t i = 0; i < count; ++i)
      nearest = mask[i] == kValid && from[i] < nearest ? from[i] : nearest;
    for (size_t i = 0; i < count; ++i) to[i] = mask[i] == kValid ? nearest / from[i] : 0;
  } else {
    float largest = 0;
    for (size_t i = 0; i < count; ++i)
      largest = mask[i] == kValid && from[i] > largest ? from[i] : largest;
    if (largest == 0) return;
    for (size_t i = 0; i < count; ++i) to[i] = mask[i] == kValid ? from[i] / largest : 0;
  }
}

static void fill_metres(const FloatMap& stored, const LabelFormat& format, DepthMap& map) {
  check(format.unit_m > 0,
        "metres are asked for, but the label's unit is relative; state its unit in the manifest "
        "(\"unit\": \"m\", \"cm\", \"mm\", or \"1/m\" for disparity)");
  for (size_t i = 0; i < map.mask.size(); ++i) {
    const double value = format.scale * double(stored.values[i]);
    const double depth_m =
        format.kind == LabelKind::depth ? value * format.unit_m : format.unit_m / value;
    const bool finite = map.mask[i] == kValid && depth_m <= std::numeric_limits<float>::max();
    map.mask[i] = finite ? kValid : kInvalid;
    if (finite) map.values[i] = float(depth_m);
  }
}

DepthMap depth_map(const FloatMap& stored, const LabelFormat& format, DepthTarget target,
                   const FloatMap* mask, const FloatMap* sky) {
  check_map("depth_map", stored);
  check(format.scale > 0 && std::isfinite(format.scale),
        "depth_map: the scale must be a positive number, but is ", format.scale);
  if (format.refuse_below) {
    const auto odd = std::ranges::find_if(
        stored.values, [&](float value) { return double(value) < *format.refuse_below; });
    check(odd == stored.values.end(), "the label holds ", odd == stored.values.end() ? 0 : *odd,
          ", below refuse_below = ", *format.refuse_below, ": an ordinal map, which has no depth");
  }
  DepthMap map{stored.height, stored.width, std::vector<float>(stored.values.size()),
               classify(stored, format)};
  if (mask != nullptr) apply_mask(*mask, format.mask_above, stored, map.mask);
  if (format.lowest_percent > 0 || format.highest_percent < 100)
    apply_percentiles(stored, format.lowest_percent, format.highest_percent, map.mask);
  apply_sky(stored, format, sky, map.mask);
  const bool along_ray = format.ray_focal_px > 0;
  const FloatMap flat = along_ray ? plane_depth(stored, format.ray_focal_px) : FloatMap{};
  const FloatMap& values = along_ray ? flat : stored;
  if (target == DepthTarget::metres)
    fill_metres(values, format, map);
  else
    fill_inverse_depth(values, format.kind, map);
  for (uint8_t& pixel : map.mask) pixel = pixel != kInvalid;
  check(std::ranges::find(map.mask, 1) != map.mask.end(), "the label of ", map.height, " x ",
        map.width,
        " has no valid pixel; is what the manifest says of it right (kind, invalid, mask)?");
  return map;
}

}  // namespace fathom
