#include "train/data/depth_map.h"

#include <algorithm>
#include <bit>
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
  const float* const from = stored.values.data();
  uint8_t* const to = pixels.data();
  for (size_t i = 0; i < pixels.size(); ++i)  // no branch, so that it vectorises
    to[i] = uint8_t(int(from[i] >= lowest) & int(from[i] <= std::numeric_limits<float>::max()));
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
static void make_plane_depth(FloatMap& distance, double focal_px) {
  for (int64_t y = 0, i = 0; y < distance.height; ++y) {
    const double v = double(y) - 0.5 * double(distance.height - 1);
    for (int64_t x = 0; x < distance.width; ++x, ++i) {
      const double u = double(x) - 0.5 * double(distance.width - 1);
      const double ray = std::sqrt(u * u + v * v + focal_px * focal_px);
      float& value = distance.values[size_t(i)];
      value = float(value * focal_px / ray);
    }
  }
}

// Relative maps have no scale, so the unit cancels: the nearest valid pixel over this one, rounded
// once. In place, and without branches: a label has more pixels than the crop that is made of it.
// Valid numbers are not negative, so their bits are ordered as they are, and integers vectorise.
static void make_inverse_depth(std::vector<float>& values, const std::vector<uint8_t>& mask,
                               LabelKind kind) {
  float* const v = values.data();
  const uint8_t* const m = mask.data();
  const bool depth = kind == LabelKind::depth;
  int32_t least = std::bit_cast<int32_t>(std::numeric_limits<float>::max()), most = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    const auto bits = std::bit_cast<int32_t>(v[i]), counts = -int32_t(m[i] == kValid);
    const int32_t high = bits & counts, low = high | (~counts & INT32_MAX);
    least = low < least ? low : least;
    most = high > most ? high : most;
  }
  const auto nearest = std::bit_cast<float>(least), largest = std::bit_cast<float>(most);
  for (size_t i = 0; i < mask.size(); ++i) {
    const float over = depth ? nearest : v[i], under = depth ? v[i] : largest;
    const float ratio = over / under;  // whatever it is where the pixel does not count
    v[i] = int(m[i] == kValid) & int(under > 0) ? ratio : 0;
  }
}

static void make_metres(std::vector<float>& values, std::vector<uint8_t>& mask,
                        const LabelFormat& format) {
  check(format.unit_m > 0,
        "metres are asked for, but the label's unit is relative; state its unit in the manifest "
        "(\"unit\": \"m\", \"cm\", \"mm\", or \"1/m\" for disparity)");
  for (size_t i = 0; i < mask.size(); ++i) {
    const double value = format.scale * double(values[i]);
    const double depth_m =
        format.kind == LabelKind::depth ? value * format.unit_m : format.unit_m / value;
    const bool finite = mask[i] == kValid && depth_m <= std::numeric_limits<float>::max();
    mask[i] = finite ? kValid : kInvalid;
    values[i] = finite ? float(depth_m) : 0;
  }
}

DepthMap depth_map(FloatMap stored, const LabelFormat& format, DepthTarget target,
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
  std::vector<uint8_t> pixels = classify(stored, format);
  if (mask != nullptr) apply_mask(*mask, format.mask_above, stored, pixels);
  if (format.lowest_percent > 0 || format.highest_percent < 100)
    apply_percentiles(stored, format.lowest_percent, format.highest_percent, pixels);
  apply_sky(stored, format, sky, pixels);
  if (format.ray_focal_px > 0) make_plane_depth(stored, format.ray_focal_px);
  if (target == DepthTarget::metres)
    make_metres(stored.values, pixels, format);
  else
    make_inverse_depth(stored.values, pixels, format.kind);
  for (uint8_t& pixel : pixels) pixel = pixel != kInvalid;
  check(std::ranges::find(pixels, 1) != pixels.end(), "the label of ", stored.height, " x ",
        stored.width,
        " has no valid pixel; is what the manifest says of it right (kind, invalid, mask)?");
  return {stored.height, stored.width, std::move(stored.values), std::move(pixels)};
}

}  // namespace fathom
