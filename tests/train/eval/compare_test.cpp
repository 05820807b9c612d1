#include "train/eval/compare.h"

#include <cmath>

#include "core/npy.h"
#include "core/png.h"
#include "tests/testing.h"

namespace fathom {

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<double> list(const DepthMetrics& metrics) {
  std::vector<double> values;
  visit_metrics(metrics, [&](const char*, double value) { values.push_back(value); });
  return values;
}

Verdict near(const DepthMetrics& metrics, const std::vector<double>& expected, double relative) {
  const std::vector<double> values = list(metrics);
  for (size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - expected[i]) <= relative * std::abs(expected[i])))
      return {false, "metric " + std::to_string(i) + " is " + std::to_string(values[i]) +
                         " instead of " + std::to_string(expected[i])};
  return {};
}

// The wrong disparity of tests/reference/depth_metrics.py.
FloatMap distorted(const FloatMap& truth) {
  FloatMap p = truth;
  const double count = double(truth.values.size());
  for (size_t i = 0; i < p.values.size(); ++i) {
    const double z = truth.values[i] > 0 ? double(truth.values[i]) : 1;
    p.values[i] = float(3 * std::sqrt(1 / z) + 1.5 * double(i) / count + 0.8 * double(i % 17) / 17);
  }
  return p;
}

// Smooth depths from 1 to about 9 m.
FloatMap scene(int64_t height, int64_t width) {
  FloatMap map{height, width, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      map.values.push_back(float(1 + 8 * double(y) / double(height) + 0.01 * double(x % 5)));
  return map;
}

FloatMap mapped(FloatMap map, auto&& f) {
  for (float& value : map.values) value = f(value);
  return map;
}

struct Reference {
  const char* file;
  double scale, max_depth_m;
  EvalCrop crop;
  int64_t pixels;
  AffineFit fit;
  std::vector<double> disparity, depth;
};

// Printed by tests/reference/depth_metrics.py.
const Reference kReferences[] = {
    {"tum_fr1/TUM_depth.png",
     1.0 / 5000,
     10,
     EvalCrop::none,
     248250,
     {0.07801516495090098, 0.18166538634609206},
     {0.12564903409144418, 0.011418268608142117, 0.062393963614735114, 0.17053576255379138,
      0.05078437042660334, 17.000626206998565, 0.8772608257804633, 0.9843464249748237,
      0.9857482376636455},
     {0.11290986225567594, 0.08081488474625309, 0.6355145304691954, 0.17053576255379138,
      0.05078437042660334, 17.00062620699856, 0.8772608257804633, 0.9843464249748237,
      0.9857482376636455}},
    {"icl_nuim_livingroom/depth_2.png",
     1.0 / 5000,
     10,
     EvalCrop::eigen_nyu,
     238560,
     {0.28106390641459733, -0.31876009706349007},
     {0.19336923857841484, 0.03485312840263628, 0.14770288251021513, 0.22784441678164402,
      0.0795065332404681, 22.671584476417063, 0.668326626425218, 0.9493041582830315,
      0.9997778336686788},
     {0.17894345159493377, 0.08498740020243364, 0.4149449551504983, 0.22784441678164402,
      0.0795065332404681, 22.671584476417063, 0.668326626425218, 0.9493041582830315,
      0.9997778336686788}},
    {"kitti/depth_0000000005.png",
     1.0 / 256,
     80,
     EvalCrop::garg,
     87504,
     {0.07049689599546034, -0.07804638888049924},
     {0.2700667767151911, 0.00618281237180381, 0.019476870649451365, 0.3207561072085301,
      0.10730288188877554, 31.96392124997595, 0.5438608520753337, 0.8613663375388554,
      0.950733680746023},
     {0.24406588519387443, 2.718738159960252, 9.488195649977413, 0.3207561072085301,
      0.10730288188877554, 31.96392124997595, 0.5438608520753337, 0.8613663375388554,
      0.950733680746023}},
};

}  // namespace

TEST_CASE("compare: equals NumPy on real depth maps") {
  if (shared_data().empty()) return;
  for (const Reference& r : kReferences) {
    CAPTURE(r.file);
    const FloatMap truth =
        restore(read_image16(shared_data() / "pairs" / r.file), {.scale = r.scale});
    const Comparison result = compare(distorted(truth), DepthKind::relative, truth,
                                      {.max_depth_m = r.max_depth_m, .crop = r.crop});
    CHECK(result.pixels == r.pixels);
    CHECK(result.fit.scale == Approx(r.fit.scale).epsilon(1e-6));
    CHECK(result.fit.shift == Approx(r.fit.shift).epsilon(1e-6));
    CHECK(near(result.disparity, r.disparity, 1e-6));
    CHECK(near(result.depth, r.depth, 1e-6));
  }
}

TEST_CASE("compare: reproduces the metrics of FastDepth's published prediction") {
  if (shared_data().empty()) return;
  const FloatMap truth = read_npy(shared_data() / "reference/fastdepth/depth.npy"),
                 prediction = read_npy(shared_data() / "reference/fastdepth/pred.npy");
  const Comparison result = compare(prediction, DepthKind::metric, truth,
                                    {.alignment = Alignment::none, .max_depth_m = 10});
  CHECK(result.pixels == 224 * 224);
  CHECK(near(result.depth,
             {0.1404981734499793, 0.09866834181686485, 0.6180006916792967, 0.19307356023542802,
              0.062048652099713046, 18.870580837738636, 0.7772640306122449, 0.9647241709183674,
              0.9996213329081632},
             1e-6));
}

TEST_CASE("compare: a prediction that is the truth up to scale and shift is perfect") {
  const FloatMap truth = scene(13, 11);
  const FloatMap p = mapped(truth, [](float z) { return 40 / z - 3; });
  const Comparison result = compare(p, DepthKind::relative, truth, {});
  // p is rounded to float: relative 6e-8 of 40 against disparities from 0.11, 6e-8 * 40 / 37.
  CHECK(result.disparity.abs_rel < 1e-6);
  CHECK(result.depth.abs_rel < 1e-6);
  CHECK(result.depth.delta1 == 1);
  CHECK(result.fit.scale == Approx(1 / 40.0).epsilon(1e-5));

  const Comparison metric =
      compare(truth, DepthKind::metric, truth, {.alignment = Alignment::none});
  // Disparities are inverted back to depths once: two roundings.
  CHECK(metric.depth.rmse < 1e-14);
  CHECK(metric.depth.delta1 == 1);
}

TEST_CASE("compare: scale and shift of a relative prediction do not matter") {
  const FloatMap truth = scene(29, 31), p = distorted(truth);
  const FloatMap moved = mapped(p, [](float x) { return 0.25f * x + 2; });
  const Comparison a = compare(p, DepthKind::relative, truth, {}),
                   b = compare(moved, DepthKind::relative, truth, {});
  // The shift costs two bits of p, whose range is 2: 2^-24 * 4 relative to 0.1 of disparity.
  CHECK(near(b.disparity, list(a.disparity), 1e-5));
  CHECK(near(b.depth, list(a.depth), 1e-5));
  const FloatMap negated = mapped(p, [](float x) { return -x; });
  CHECK(compare(negated, DepthKind::relative, truth, {}).fit.scale == Approx(-a.fit.scale));
}

TEST_CASE("compare: median alignment removes scale, alignment in depth removes shift too") {
  const FloatMap truth = scene(17, 19);
  const FloatMap doubled = mapped(truth, [](float z) { return 2 * z; });
  const auto with = [&](const FloatMap& p, Alignment alignment) {
    return compare(p, DepthKind::metric, truth, {.alignment = alignment}).depth;
  };
  CHECK(with(doubled, Alignment::none).abs_rel == Approx(1));
  CHECK(with(doubled, Alignment::median).abs_rel < 1e-12);
  const FloatMap shifted = mapped(truth, [](float z) { return 2 * z + 4; });
  CHECK(with(shifted, Alignment::median).abs_rel > 0.1);
  CHECK(with(shifted, Alignment::least_squares_depth).abs_rel < 1e-6);  // p is rounded to float
  CHECK(with(shifted, Alignment::least_squares_disparity).abs_rel > 0.01);
}

TEST_CASE("compare: invalid truth never counts, whatever the prediction says there") {
  FloatMap truth = scene(5, 7), p = distorted(truth);
  const Comparison whole = compare(p, DepthKind::relative, truth, {.max_depth_m = 80});
  CHECK(whole.pixels == 35);
  const float bad[] = {0, -1, kNaN, kInfinity, 80, 200, 1e-3f};
  FloatMap wide_truth{5, 14, {}}, wide_p{5, 14, {}};
  for (size_t i = 0; i < 35; ++i) {
    wide_truth.values.insert(wide_truth.values.end(), {truth.values[i], bad[i % 7]});
    wide_p.values.insert(wide_p.values.end(), {p.values[i], i % 2 ? kNaN : 1e9f});
  }
  const Comparison part =
      compare(wide_p, DepthKind::relative, wide_truth, {.min_depth_m = 1e-3f, .max_depth_m = 80});
  CHECK(part.pixels == 35);
  CHECK(part.depth == whole.depth);
}

TEST_CASE("compare: predictions are limited to the depths of the protocol") {
  const FloatMap truth{1, 4, {1, 2, 4, 8}};
  const FloatMap p{1, 4, {kNaN, 100, kInfinity, -5}};
  const DepthMetrics m =
      compare(p, DepthKind::metric, truth,
              {.alignment = Alignment::none, .min_depth_m = 0.5, .max_depth_m = 10})
          .depth;
  // NaN and negative become 0.5, what is too far 10.
  CHECK(m.abs_rel == Approx((0.5 + 8 / 2.0 + 6 / 4.0 + 7.5 / 8) / 4).epsilon(1e-12));
  // A constant relative prediction aligns to 0 and is then limited to the farthest depth.
  const DepthMetrics flat = compare(mapped(truth, [](float) { return 3.0f; }), DepthKind::relative,
                                    truth, {.max_depth_m = 10})
                                .depth;
  CHECK(flat.abs_rel == Approx((9 + 8 / 2.0 + 6 / 4.0 + 2 / 8.0) / 4).epsilon(1e-12));
}

TEST_CASE("compare: predictions of another size are resized to the truth") {
  const FloatMap truth{1, 5, {1, 2, 3, 4, 5}}, p{1, 3, {1, 3, 5}};
  const EvalProtocol none{.alignment = Alignment::none};
  CHECK(compare(p, DepthKind::metric, truth, none).depth.rmse < 1e-12);  // corners to corners
  EvalProtocol areas = none;
  areas.resize = MapResize::bilinear;
  CHECK(compare(p, DepthKind::metric, truth, areas).depth.rmse > 0.1);
}

TEST_CASE("compare: says why an image cannot be evaluated") {
  const FloatMap truth = scene(3, 3);
  CHECK_THROWS_WITH(compare(truth, DepthKind::metric, truth, {.min_depth_m = 50}),
                    Catch::Contains("no valid pixel") && Catch::Contains("between 50"));
  CHECK_THROWS_WITH(
      compare(truth, DepthKind::relative, truth, {.alignment = Alignment::least_squares_depth}),
      Catch::Contains("needs predictions of depth"));
  CHECK_THROWS_WITH(compare(truth, DepthKind::metric, truth, {.min_depth_m = 2, .max_depth_m = 1}),
                    Catch::Contains("0 <= min < max"));
}

TEST_CASE("protocol: data sets have the limits of the reference, others are refused by name") {
  EvalProtocol protocol;
  apply_dataset_protocol("kitti", protocol);
  CHECK(
      describe(protocol) ==
      "align disparity, depth 0.001..80 m, crop garg after the KB crop, resize bilinear, corners");
  apply_dataset_protocol("nyu", protocol);
  CHECK(protocol.max_depth_m == 10);
  CHECK(!protocol.kb_crop);
  CHECK_THROWS_WITH(apply_dataset_protocol("city", protocol),
                    Catch::Contains("'city'") && Catch::Contains("nyu, kitti"));
}

}  // namespace fathom
