#include "models/depth_anything.h"

#include <cmath>

#include "core/allocator.h"
#include "kernels/patch_embed.h"
#include "tests/models/golden.h"
#include "tests/models/hash_fill.h"
#include "tests/testing.h"

namespace fathom {
namespace {

DepthAnything hash_model(int version, ModelSize size, bool metric = false) {
  DepthAnythingConfig config = depth_anything_config(version, size);
  if (metric) config.kind = DepthKind::metric, config.max_depth_m = 20;
  DepthAnything model(config);
  fill_with_hash(model, metric ? 0 : 4);
  return model;
}

constexpr double kUnknown = NAN;  // not among the published numbers

struct Map {
  double mean, rms, first[4], last;
};

void check_map(const char* name, const Tensor& x, const Map& golden) {
  INFO(name);
  const Tensor published = x.rank() == 4 ? x.transpose(1, 3).transpose(2, 3).contiguous() : x;
  const std::vector<double> v = values(published);
  double sum = 0, squares = 0;
  for (const double e : v) sum += e, squares += e * e;
  CHECK(sum / double(v.size()) == Approx(golden.mean).margin(kGolden));
  CHECK(std::sqrt(squares / double(v.size())) == Approx(golden.rms).margin(kGolden));
  for (size_t i = 0; i < 4; ++i) CHECK(v[i] == Approx(golden.first[i]).margin(kGolden));
  if (!std::isnan(golden.last)) CHECK(v.back() == Approx(golden.last).margin(kGolden));
}

struct Intermediates {
  Map patches;
  double cls[4], token1[4], last_token[4];
  double tokens_mean, tokens_rms;
  Map block0, block11, projects0, resize0, resize3, layer4_rn;
  Map refinenet4, refinenet3, refinenet2, refinenet1, output_conv1;
};

void check_tokens(const Tensor& tokens, const Intermediates& golden) {
  const auto four = [](const Tensor& row, const double(&expected)[4]) {
    CHECK(close(row.narrow(2, 0, 4), expected, {.absolute = kGolden}));
  };
  four(tokens.narrow(1, 0, 1), golden.cls);
  four(tokens.narrow(1, 1, 1), golden.token1);
  four(tokens.narrow(1, tokens.dim(1) - 1, 1), golden.last_token);
  double sum = 0, squares = 0;
  const std::vector<double> v = values(tokens);
  for (const double e : v) sum += e, squares += e * e;
  CHECK(sum / double(v.size()) == Approx(golden.tokens_mean).margin(kGolden));
  CHECK(std::sqrt(squares / double(v.size())) == Approx(golden.tokens_rms).margin(kGolden));
}

void check_intermediates(const DepthAnything& model, const Tensor& image,
                         const Intermediates& golden, const GoldenOutput& output) {
  const NoGrad no_grad;
  const Dinov2& encoder = model.pretrained;
  check_map("patch_embed",
            patch_embed(image, encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias),
            golden.patches);
  Tensor x = encoder.tokens(image);
  check_tokens(x, golden);
  for (size_t i = 0; i < encoder.blocks.size(); ++i) {
    x = encoder.blocks[i](x);
    if (i == 0) check_map("block 0", x, golden.block0);
    if (i == 11) check_map("block 11", x, golden.block11);
  }
  DptTrace trace;
  const Tensor y = model(image, &trace);
  check_map("projects.0", trace.projects0, golden.projects0);
  check_map("resize_layers.0", trace.resize0, golden.resize0);
  check_map("resize_layers.3", trace.resize3, golden.resize3);
  check_map("layer4_rn", trace.layer4_rn, golden.layer4_rn);
  check_map("refinenet4", trace.refinenet4, golden.refinenet4);
  check_map("refinenet3", trace.refinenet3, golden.refinenet3);
  check_map("refinenet2", trace.refinenet2, golden.refinenet2);
  check_map("refinenet1", trace.refinenet1, golden.refinenet1);
  check_map("output_conv1", trace.output_conv1, golden.output_conv1);
  CHECK(golden_deviation(y, output) <= kGolden);
}

constexpr Intermediates kSteps70{
    .patches = {-0.014677, 1.166879, {-0.26528, -2.29292, -1.95928, -0.43776}, -1.21099},
    .cls = {-0.32027, 0.45717, 0.10329, -0.28358},
    .token1 = {0.16393, -1.91514, -1.92209, -0.90938},
    .last_token = {1.09974, 1.16807, -0.34101, -0.25342},
    .tokens_mean = -0.012051,
    .tokens_rms = 1.181809,
    .block0 = {-0.003572, 1.232283, {-0.81762, -0.02459, 0.12622, -0.80675}, -1.19347},
    .block11 = {-0.035968, 1.767292, {-2.99033, -0.99623, -1.31058, 1.92414}, -0.91508},
    .projects0 = {-0.029931, 1.012597, {-0.76525, 0.94746, -0.84264, 0.50557}, -0.27498},
    .resize0 = {-0.003398, 1.014951, {0.12993, 1.05795, 1.26373, -0.33891}, 0.20482},
    .resize3 = {0.009316, 0.795944, {-0.24561, -0.6074, 0.47835, -1.16847}, 0.45675},
    .layer4_rn = {0.036459, 0.693883, {-0.36651, 0.18983, 2.32196, 0.52504}, -0.75864},
    .refinenet4 = {-0.018686, 0.636268, {-0.42647, -1.20685, -1.98724, -0.91793}, 0.98749},
    .refinenet3 = {-0.077761, 1.116265, {2.41711, 2.0597, 1.70228, 1.76441}, -1.80000},
    .refinenet2 = {0.132930, 1.391874, {2.15452, 1.39274, 0.63097, 0.18107}, 1.31618},
    .refinenet1 = {0.107978, 1.757037, {0.57384, 1.11083, 1.64781, 1.33304}, -0.42584},
    .output_conv1 = {0.109583, 1.702102, {-0.4538, -0.88053, -0.64912, -0.06987}, 0.97072}};

constexpr Intermediates kSteps518{
    .patches = {-0.000563, 1.154486, {1.81403, -0.78645, 0.36701, 1.34917}, -0.33797},
    .cls = {-0.32027, 0.45717, 0.10329, -0.28358},
    .token1 = {2.03237, -0.50983, 0.04522, 1.31306},
    .last_token = {-0.30403, -2.49925, 1.47212, 0.82751},
    .tokens_mean = -0.000993,
    .tokens_rms = 1.189260,
    .block0 = {0.010547, 1.236278, {-0.52964, -0.11847, 0.07352, -0.68933}, -0.84511},
    .block11 = {-0.045825, 1.742744, {-2.95148, -1.51666, -0.66956, 0.32856}, -0.92712},
    .projects0 = {-0.032679, 0.995974, {0.73918, -1.42209, 0.53361, 1.08646}, -0.92038},
    .resize0 = {-0.001313, 0.997808, {0.84294, -0.90559, -1.45673, -1.81809}, 0.02180},
    .resize3 = {-0.012429, 0.953585, {0.5434, 0.79333, 0.52484, -0.2417}, 0.71662},
    .layer4_rn = {0.021758, 0.931587, {0.33383, 2.00541, 0.6305, 1.64164}, 0.01377},
    .refinenet4 = {-0.052408, 0.839192, {0.79041, -0.01511, -0.82063, -0.88544}, 0.47773},
    .refinenet3 = {-0.192790, 1.389891, {0.99913, 0.97078, 0.94242, 0.47117}, -0.48344},
    .refinenet2 = {0.109219, 1.753265, {-0.44171, 0.44407, 1.32984, 1.10431}, 0.31436},
    .refinenet1 = {0.071273, 2.075965, {1.86389, 0.90354, -0.05682, 0.61291}, 0.98516},
    .output_conv1 = {0.091505, 2.095262, {-0.63572, -0.78682, -0.47331, -0.58476}, 0.24850}};

}  // namespace

TEST_CASE("hash fill: matches the published check values") {
  CHECK(hash_value("input", 0) == Approx(0.286047245).margin(1e-9));
  CHECK(hash_value("input", 1) == Approx(-0.035498675).margin(1e-9));
  CHECK(hash_value("input", 2) == Approx(0.581975051).margin(1e-9));
  CHECK(hash_value("input", 3) == Approx(0.723674201).margin(1e-9));
}

TEST_CASE("depth anything: golden numbers of V2-S at 70 x 98, layer by layer") {
  check_intermediates(hash_model(2, ModelSize::S), hash_input(70, 98), kSteps70, kV2S70);
}

TEST_CASE("depth anything: golden numbers of V2-S at 518 x 518, layer by layer") {
  check_intermediates(hash_model(2, ModelSize::S), hash_input(518, 518), kSteps518, kV2S518);
}

TEST_CASE("depth anything: golden numbers of V1-S and of the metric V2-S at 70 x 98") {
  const NoGrad no_grad;
  const Tensor image = hash_input(70, 98);
  const DepthAnything v1 = hash_model(1, ModelSize::S);
  DptTrace trace;
  CHECK(golden_deviation(v1(image, &trace), kV1S70) <= kGolden);
  check_map("projects.0", trace.projects0,
            {-0.026489, 1.018118, {-0.57076, 1.68226, -0.43281, -0.30414}, kUnknown});
  check_map("refinenet1", trace.refinenet1,
            {0.067780, 1.794748, {0.13855, 1.01504, 1.89152, 0.9816}, -0.73459});
  CHECK(golden_deviation(hash_model(2, ModelSize::S, true)(image), kMetricS70) <= kGolden);
}

TEST_CASE("depth anything: packed weights and recorded ops give the same depth") {
  const DepthAnything model = hash_model(2, ModelSize::S);
  const Tensor image = hash_input(70, 98);
  DepthAnything packed = model, trained = model;
  prepare_for_inference(packed, DType::f32);
  require_grad(trained);
  Tensor from_packed, from_trained = trained(image).detach();
  {
    const NoGrad no_grad;
    from_packed = packed(image);
  }
  CHECK(golden_deviation(from_packed, kV2S70) <= kGolden);
  CHECK(golden_deviation(from_trained, kV2S70) <= kGolden);
}

TEST_CASE("depth anything: parameter counts equal the published ones") {
  // Without guards nothing is written, so the six gigabytes of the giant are never touched.
  allocator::enable_guards(false);
  const auto count = [](ModelSize size) {
    return parameter_count(DepthAnything(depth_anything_config(2, size)));
  };
  CHECK(count(ModelSize::S) == 24'785'089);
  CHECK(count(ModelSize::B) == 97'470'785);
  CHECK(count(ModelSize::L) == 335'315'649);
  CHECK(count(ModelSize::g) == 1'258'132'225);
  allocator::enable_guards(true);
  CHECK(parameter_count(Dinov2(kVitS14)) == 22'056'576);
  CHECK(parameter_count(Dinov2(with_registers(kVitS14))) == 22'056'576 + 4 * 384);
}

TEST_CASE("depth anything: taps by version and size") {
  CHECK(depth_anything_taps(1, 12) == std::array{8, 9, 10, 11});
  CHECK(depth_anything_taps(1, 24) == std::array{20, 21, 22, 23});
  CHECK(depth_anything_taps(2, 12) == std::array{2, 5, 8, 11});
  CHECK(depth_anything_taps(2, 24) == std::array{4, 11, 17, 23});
  CHECK(depth_anything_taps(2, 40) == std::array{9, 19, 29, 39});
}

TEST_CASE("depth anything: says what is wrong with an image") {
  const DepthAnything model = hash_model(2, ModelSize::S);
  CHECK_THROWS_WITH(model(empty({1, 70, 97, 3})), Catch::Contains("not a multiple"));
  CHECK_THROWS_WITH(model(empty({1, 3, 70, 98})), Catch::Contains("[B, H, W, 3]"));
  CHECK_THROWS_WITH(depth_anything_config(1, ModelSize::g), Catch::Contains("V1 has no giant"));
}

}  // namespace fathom
