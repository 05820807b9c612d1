#include "train/data/depth_map.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

using Values = std::vector<float>;
using Mask = std::vector<uint8_t>;

static FloatMap row(const Values& values) { return {1, int64_t(values.size()), values}; }

TEST_CASE("depth map: depth becomes inverse depth, the nearest pixel 1") {
  const DepthMap map =
      depth_map(row({4, 2, 8, 0, -1, NAN, INFINITY}), {}, DepthTarget::inverse_depth);
  CHECK(map.values == Values{0.5f, 1, 0.25f, 0, 0, 0, 0});
  CHECK(map.mask == Mask{1, 1, 1, 0, 0, 0, 0});
}

TEST_CASE("depth map: scale and unit do not change inverse depth") {
  const FloatMap stored = row({1000, 2500, 3});
  const DepthMap plain = depth_map(stored, {}, DepthTarget::inverse_depth);
  const DepthMap scaled =
      depth_map(stored, {.scale = 1e-20, .unit_m = 0.001}, DepthTarget::inverse_depth);
  CHECK(plain.values == scaled.values);
  // 1 / 1e-45 is beyond float but the ratio is not.
  const float tiny = std::numeric_limits<float>::denorm_min();
  CHECK(depth_map(row({tiny, 4 * tiny}), {}, DepthTarget::inverse_depth).values ==
        Values{1, 0.25f});
}

TEST_CASE("depth map: disparity is kept as it is, 0 is the valid far end") {
  const LabelFormat format{.kind = LabelKind::disparity};
  const DepthMap map = depth_map(row({0, 64, 128, -3, NAN}), format, DepthTarget::inverse_depth);
  CHECK(map.values == Values{0, 0.5f, 1, 0, 0});
  CHECK(map.mask == Mask{1, 1, 1, 0, 0});
}

TEST_CASE("depth map: markers make pixels invalid or sky") {
  const LabelFormat format{
      .invalid = {parse_marker("7"), parse_marker(">65500"), parse_marker("<0.5")},
      .sky = {parse_marker("65535"), parse_marker("inf")}};
  const DepthMap map =
      depth_map(row({7, 1, 2, 0.25f, 65534, 65535, INFINITY}), format, DepthTarget::inverse_depth);
  CHECK(map.values == Values{0, 1, 0.5f, 0, 0, 0, 0});
  CHECK(map.mask == Mask{0, 1, 1, 0, 0, 1, 1});
}

TEST_CASE("depth map: metres follow scale and unit, and sky has none") {
  const FloatMap stored = row({1500, 65535, 0});
  const LabelFormat format{.scale = 2, .unit_m = 0.001, .sky = {parse_marker("65535")}};
  const DepthMap map = depth_map(stored, format, DepthTarget::metres);
  CHECK(map.values == Values{3, 0, 0});
  CHECK(map.mask == Mask{1, 0, 0});
  // KITTI: value / 256; disparity in inverse metres, of which 0 is infinitely far.
  CHECK(
      depth_map(row({256, 20480}), {.scale = 1.0 / 256, .unit_m = 1}, DepthTarget::metres).values ==
      Values{1, 80});
  const LabelFormat inverse{.kind = LabelKind::disparity, .unit_m = 1};
  CHECK(depth_map(row({0.25f, 0, 2}), inverse, DepthTarget::metres).values == Values{4, 0, 0.5f});
  CHECK(depth_map(row({0.25f, 0, 2}), inverse, DepthTarget::metres).mask == Mask{1, 0, 1});
}

TEST_CASE("depth map: masks of another size count by the nearest pixel") {
  const FloatMap stored{2, 4, {1, 1, 1, 1, 2, 2, 2, 2}};
  const FloatMap confidence{1, 2, {100, 200}}, sky{2, 2, {0, 0, 0, 255}};
  const DepthMap map =
      depth_map(stored, {.mask_above = 153}, DepthTarget::inverse_depth, &confidence, &sky);
  CHECK(map.mask == Mask{0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(map.values == Values{0, 0, 1, 1, 0, 0, 0, 0});
}

TEST_CASE("depth map: percentiles clean both ends") {
  Values values;
  for (int i = 1; i <= 100; ++i) values.push_back(float(i));
  const LabelFormat format{.lowest_percent = 1, .highest_percent = 98};
  const DepthMap map = depth_map(row(values), format, DepthTarget::inverse_depth);
  // Ranks floor(0.01 * 99) = 0 and floor(0.98 * 99) = 97.
  CHECK(std::count(map.mask.begin(), map.mask.end(), 1) == 98);
  CHECK(map.mask[97] == 1);
  CHECK(map.mask[98] == 0);
}

TEST_CASE("depth map: distances along the ray become z") {
  // Hypersim's camera: z / distance is 1 near the centre and 0.8112 in the corners.
  const FloatMap stored{768, 1024, Values(768 * 1024, 10)};
  const LabelFormat format{.unit_m = 1, .ray_focal_px = 886.81};
  const DepthMap map = depth_map(stored, format, DepthTarget::metres);
  CHECK(map.values[384 * 1024 + 512] == Approx(10).epsilon(1e-6));
  CHECK(map.values[0] == Approx(8.112).epsilon(1e-4));
  CHECK(map.values[768 * 1024 - 1] == map.values[0]);
}

TEST_CASE("depth map: says what is wrong") {
  CHECK_THROWS_WITH(depth_map(row({0, NAN}), {}, DepthTarget::inverse_depth),
                    Catch::Contains("1 x 2 has no valid pixel"));
  CHECK_THROWS_WITH(depth_map(row({1}), {}, DepthTarget::metres),
                    Catch::Contains("unit is relative"));
  CHECK_THROWS_WITH(depth_map(row({1, -2}), {.refuse_below = 0}, DepthTarget::inverse_depth),
                    Catch::Contains("holds -2, below refuse_below = 0"));
  for (const char* text : {"", "x", "<", "<=", "==1", "1e", "<nan", "1 2", "=>3"})
    CHECK_THROWS_WITH(parse_marker(text), Catch::Contains("is not a marker"));
}

}  // namespace fathom
