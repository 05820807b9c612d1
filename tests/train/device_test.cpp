// Training steps of a whole model on every device.
#include <cmath>

#include "core/cuda.h"
#include "tests/models/hash_fill.h"
#include "tests/testing.h"
#include "train/eval/evaluate.h"
#include "train/losses.h"
#include "train/optimizer.h"

namespace fathom {
namespace {

constexpr int64_t kSide = 28;
constexpr int kLast = 3;  // block
constexpr int kSteps = 2;
constexpr OptimizerOptions kOptions{.lr = 1e-3,
                                    .decoder_factor = 10,
                                    .eps = 1e-3,
                                    .weight_decay = 0.1,
                                    .decay = DecayRule::weights,
                                    .clip_norm = 1,
                                    .average_decay = 0.9};

using Named = std::vector<std::pair<std::string, std::vector<double>>>;

struct Step {
  std::vector<double> losses;  // and counts
  double norm = 0;
  Named gradients;
};

struct Run {
  std::vector<Step> steps;
  Named weights, averages;
};

// A batch of a student, of one image that is mixed with itself; the same values in every type.
struct Batch {
  Tensor image, target, mask, inside;
  explicit Batch(TensorOptions options) {
    const DType loss = options.dtype == DType::f64 ? DType::f64 : DType::f32;
    const Shape maps{1, kSide, kSide};
    image = hash_input(kSide, kSide).to(options.dtype);
    target = random_tensor(maps, {DType::f32}, 5).to(loss);
    std::vector<double> valid, region;
    for (int64_t i = 0; i < maps.numel(); ++i) {
      valid.push_back(i % 7 != 0);
      region.push_back(i % kSide < kSide / 3);
    }
    mask = from_values(maps, valid, {DType::boolean});
    inside = from_values(maps, region, {DType::boolean});
    for (Tensor* t : {&image, &target, &mask, &inside}) *t = t->to(options.device);
  }
};

// The decoder taps four blocks; positions are stored for the picture's grid.
DepthAnything small_model() {
  DepthAnything model(
      {.encoder = {.channels = 64, .layers = 4, .heads = 1, .hidden = 128, .table = 2},
       .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
       .taps = {0, 1, 2, 3}});
  fill_with_hash(model, 4);
  return model;
}

// A student's steps: SSI and gradient matching, trimmed, of a CutMix; features held near those of
// another encoder; clipping, two groups, decay of some, an average.
Run train(TensorOptions options, int steps = kSteps) {
  const bool bf16 = options.dtype == DType::bf16;
  const TensorOptions stored{bf16 ? DType::f32 : options.dtype, options.device};
  DepthAnything model = small_model();
  Dinov2 teacher = small_model().pretrained;
  const auto convert = [](auto& module, TensorOptions to) {
    for_each_parameter(module, [&](const std::string&, Tensor& t, AxisOrder) {
      t = t.detach().to(to.dtype).to(to.device);
    });
  };
  convert(teacher, options);
  convert(model, stored);
  require_grad(model);
  OptimizerOptions settings = kOptions;
  settings.bf16 = bf16;
  Optimizer optimizer(settings);
  optimizer.add(model);
  const Batch batch(options);
  const Tensor other = batch.image.transpose(1, 2).contiguous();  // whose features differ
  Run run;
  for (int i = 0; i < steps; ++i) {
    LossReport report;
    std::vector<Tensor> maps = model.pretrained(batch.image, model.config.taps);
    const Tensor features = maps.back();
    const Tensor depth = model.depth_head(std::move(maps), kSide, kSide, HeadActivation::relu, 1)
                             .to(batch.target.dtype());
    const Tensor data = cutmix_depth_loss(depth, batch.target, batch.mask, batch.inside,
                                          kDepthLossV2Pseudo, "unlabeled", report);
    Tensor held;
    {
      const NoGrad no_grad;
      held = teacher(other, std::span(&kLast, 1))[0];
    }
    const Tensor total =
        weighted_average({{data, 1}, {feature_loss(features, held, {}, report), 1}});
    backward(total);
    Step step;
    for_each_parameter(model, [&](const std::string& name, Tensor& t, AxisOrder) {
      if (t.grad().defined()) step.gradients.emplace_back(name, values(t.grad()));
    });
    optimizer.accumulate(total);
    const StepReport done = optimizer.step(1);
    CHECK(done.outcome == StepOutcome::taken);
    CHECK(done.clip_factor < 1);
    step.norm = done.gradient_norm;
    step.losses.push_back(done.loss);
    for (const auto& [name, value] : report.values) step.losses.push_back(value.item());
    for (const auto& [name, count] : report.counts) step.losses.push_back(count.item());
    run.steps.push_back(step);
  }
  for (const auto& [name, tensor] : optimizer.state()) {
    if (name.starts_with("weight.")) run.weights.emplace_back(name, values(tensor));
    if (name.starts_with("average.")) run.averages.emplace_back(name, values(tensor));
  }
  return run;
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

double distance(std::vector<double> a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return norm(a);
}

// Of all gradients of a step together.
double distance(const Named& a, const Named& b) {
  double sum = 0;
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(distance(a[i].second, b[i].second), 2);
  return std::sqrt(sum);
}

// |w - exact| of weights, or of their averages, whose error cannot be larger. An update is
// lr m / (sqrt(v) + eps), with m and v^2 nearly equal means over k <= 2 clipped gradients g:
// |m| <= sqrt(v), so it moves by at most (1 + sqrt(k)) / eps < 3 / eps of what g moves by, and g,
// scaled to the norm c, by 2 c / |g| of the unclipped gradient's error.
void check_weights(const Run& run, const Run& exact, const Named Run::*which) {
  double moved = 0;
  for (int i = 0; i < kSteps; ++i)
    moved += 3 / kOptions.eps * 2 * kOptions.clip_norm / exact.steps[i].norm *
             distance(run.steps[i].gradients, exact.steps[i].gradients);
  const Named &a = run.*which, &b = exact.*which;
  REQUIRE(a.size() == b.size());
  for (size_t t = 0; t < b.size(); ++t) {
    CAPTURE(b[t].first);
    const bool encoder = b[t].first.find(".pretrained.") != std::string::npos;
    const double lr = kOptions.lr * (encoder ? 1 : kOptions.decoder_factor);
    double worst = 0;
    for (size_t i = 0; i < b[t].second.size();
         ++i) {  // a few roundings a step of w and of the step
      const double rounding = 4 * kSteps * epsilon(DType::f32) * (std::abs(b[t].second[i]) + lr);
      worst = std::max(worst, std::abs(a[t].second[i] - b[t].second[i]) - rounding);
    }
    CHECK(worst <= lr * moved);
  }
}

}  // namespace

// Both devices are compared with f64. That gradients and losses on a CUDA device are off by at most
// four times what they are on the CPU is the allowance of tests/models/device_test.cpp, and a
// rounding of all gradients together: a bias of one element is a sum that nearly cancels. The
// weights follow from it.
TEST_CASE("training: a CUDA device takes the CPU's steps, losses, gradients and weights") {
  if (cuda_devices().empty()) return;
  const Run exact = train({DType::f64}), cpu = train({DType::f32}),
            cuda = train({DType::f32, {Device::Type::cuda, 0}});
  for (int i = 0; i < kSteps; ++i) {
    CAPTURE(i);
    const Step &on_cpu = cpu.steps[i], &on_cuda = cuda.steps[i], &truth = exact.steps[i];
    CHECK(truth.gradients.size() > 80);  // all weights but those that are never used
    REQUIRE(on_cuda.losses.size() == truth.losses.size());
    CHECK(distance(on_cuda.losses, truth.losses) <=
          4 * distance(on_cpu.losses, truth.losses) + epsilon(DType::f32) * norm(truth.losses));
    CHECK(distance(on_cuda.gradients, truth.gradients) <=
          4 * distance(on_cpu.gradients, truth.gradients));
    for (size_t t = 0; t < truth.gradients.size(); ++t) {
      CAPTURE(truth.gradients[t].first);
      REQUIRE(on_cuda.gradients[t].first == truth.gradients[t].first);
      const std::vector<double>& g = truth.gradients[t].second;
      CHECK(distance(on_cuda.gradients[t].second, g) <=
            4 * distance(on_cpu.gradients[t].second, g) + epsilon(DType::f32) * truth.norm);
    }
  }
  check_weights(cuda, exact, &Run::weights);
  check_weights(cuda, exact, &Run::averages);
}

TEST_CASE("training: in bf16 a CUDA device is as near to f64 as the CPU is") {
  if (cuda_devices().empty()) return;
  const Run exact = train({DType::f64}, 1), cpu = train({DType::bf16}, 1),
            cuda = train({DType::bf16, {Device::Type::cuda, 0}}, 1);
  CHECK(distance(cuda.steps[0].gradients, exact.steps[0].gradients) <=
        4 * distance(cpu.steps[0].gradients, exact.steps[0].gradients));
}

TEST_CASE("training: a map for evaluation and labels comes from any device and dtype") {
  const Device device = GENERATE(from_range(test_devices()));
  const DType dtype = device == kCpu ? DType::bf16 : DType::f16;
  Image8 photo{.height = 2 * kSide, .width = kSide};
  for (int64_t i = 0; i < 3 * photo.height * photo.width; ++i)
    photo.pixels.push_back(uint8_t(i * 37 % 251));
  const auto map = [&](TensorOptions options) {
    DepthAnything model = small_model();
    prepare_for_inference(model, options.dtype, options.device);
    const FloatMap map = predict_map(model, photo, kSide);
    CHECK(map.height == 2 * kSide);
    CHECK(map.width == kSide);
    return std::vector<double>(map.values.begin(), map.values.end());
  };
  const std::vector<double> exact = map({DType::f32});
  CHECK(distance(map({DType::f32, device}), exact) <= 64 * epsilon(DType::f32) * norm(exact));
  // Some forty layers round to the dtype; errors of most do not add up but as their root.
  CHECK(distance(map({dtype, device}), exact) <= 7 * epsilon(dtype) * norm(exact));
}

TEST_CASE("training: the metric loss on every device") {
  const TensorOptions options = GENERATE(from_range(test_options({DType::f32})));
  const bool whole_batch = GENERATE(true, false);
  CAPTURE(options, whole_batch);
  const Shape maps{3, 5, 7};
  std::vector<double> depth_m = values(random_tensor(maps)), target_m, valid;
  for (double& d : depth_m) {
    d = float(1 + d * d);
    target_m.push_back(float(0.5 * d + 3));
  }
  for (int64_t i = 0; i < maps.numel(); ++i) valid.push_back(i % 3 != 0 && i < 70);  // two images
  const auto run = [&](TensorOptions to) {
    Tensor prediction = from_values(maps, depth_m, to).set_requires_grad();
    LossReport report;
    const Tensor loss = metric_loss(prediction, from_values(maps, target_m, to),
                                    from_values(maps, valid, {DType::boolean, to.device}),
                                    {.whole_batch = whole_batch}, report);
    backward(loss);
    std::vector<double> all{loss.item(), report.values[0].second.item(),
                            report.counts[0].second.item()};
    for (const double g : values(prediction.grad())) all.push_back(g);
    return all;
  };
  const std::vector<double> exact = run({DType::f64}), here = run(options);
  CHECK(exact[2] == (whole_batch ? 0 : 1));
  CHECK(here[2] == exact[2]);
  // Sums are in double; predictions of up to 10 m, logarithms and the gradient round a few times.
  CHECK(distance(here, exact) <= 16 * epsilon(DType::f32) * norm(exact));
}

}  // namespace fathom
