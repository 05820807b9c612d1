#include "bench/profile.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "bench/harness.h"
#include "bench/plan.h"
#include "bench/statistics.h"
#include "core/autograd.h"
#include "core/cuda.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/reduce.h"
#include "kernels/ssi_loss.h"
#include "models/load.h"
#include "tests/models/hash_fill.h"
#include "train/optimizer.h"

namespace fathom::bench {
namespace {

using profile::Layer;
using profile::Window;

struct Loaded {
  DepthAnything model;
  std::string hash;
};

Loaded load(const ProfileOptions& options) {
  if (!options.weights.empty()) {
    LoadedModel file = load_model(options.weights);
    return {std::move(file.model), file.weights_hash};
  }
  Loaded filled{DepthAnything(depth_anything_config(2, options.size)), ""};
  fill_with_hash(filled.model, 4);  // which keeps the last ReLU open
  return filled;
}

// The model and what a step of it works on.
class Steps {
 public:
  Steps(const ProfileOptions& options, DepthAnything model)
      : options_(options), model_(std::move(model)) {
    Generator generator{1};
    const Shape maps{options.batch, options.image.height, options.image.width};
    image_ = normal({maps[0], maps[1], maps[2], 3}, generator).to(options.device);
    if (!options.training) {
      prepare_for_inference(model_, options.dtype, options.device);
      return;
    }
    target_ = uniform(maps, generator, 0.1, 1).to(options.device);
    mask_ = full(maps, 1, {DType::boolean}).to(options.device);
    move_to(model_, options.device);
    require_grad(model_);
    optimizer_.emplace(OptimizerOptions{.bf16 = options.dtype == DType::bf16});
    optimizer_->add(model_);
  }

  void step() {
    if (options_.training)
      train();
    else
      infer();
    if (options_.device != kCpu) cuda_synchronize(options_.device.index);
  }

 private:
  void infer() {
    const NoGrad no_grad;
    const Tensor depth_m = model_(image_.to(options_.dtype)).to(DType::f32);
  }

  void train() {
    Tensor loss;
    {
      const Window window("forward");
      const Tensor depth = model_(image_.to(options_.dtype)).to(DType::f32);
      const Layer layer("loss");
      loss = mean(ssi_loss(depth, target_, mask_, {.gradient_weight = 2}).loss);
    }
    {
      const Window window("backward");
      backward(loss);
    }
    const Window window("optimizer");
    const Layer layer("optimizer");
    optimizer_->accumulate(loss);
    const StepReport report = optimizer_->step(1);
    check(report.outcome == StepOutcome::taken,
          "profile: a training step was not taken, its loss is ", report.loss);
  }

  const ProfileOptions& options_;
  DepthAnything model_;
  std::optional<Optimizer> optimizer_;
  Tensor image_, target_, mask_;
};

double seconds_of(auto&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double recorded_step(Steps& steps) {
  return seconds_of([&] {
    profile::resume();
    {
      const Window window("step");
      steps.step();
    }
    profile::pause();
  });
}

std::string letter_of_model(const DepthAnythingConfig& config) {
  for (const ModelSize size : {ModelSize::S, ModelSize::B, ModelSize::L, ModelSize::g})
    if (depth_anything_config(2, size).encoder.channels == config.encoder.channels)
      return letter_of(size);
  return std::to_string(config.encoder.channels);
}

}  // namespace

std::string Profile::size() const {
  return letter + "/" + std::to_string(options.image.height) + "x" +
         std::to_string(options.image.width) + "/b" + std::to_string(options.batch);
}

double Profile::overhead() const {
  std::vector<double> ratios;
  for (size_t i = 0; i < plain_s.size(); ++i) ratios.push_back(recorded_s[i] / plain_s[i]);
  return median(ratios) - 1;
}

Profile run_profile(const ProfileOptions& options) {
  check(options.steps >= 1, "profile: at least one step is needed, not ", options.steps);
  check(!options.training || options.dtype != DType::f16,
        "profile: training computes in f32 or bf16, not in f16");
  Profile result;
  result.options = options;
  Loaded loaded = load(options);
  const DepthAnythingConfig config = loaded.model.config;
  result.letter = letter_of_model(config), result.weights_hash = loaded.hash;
  Steps steps(result.options, std::move(loaded.model));
  for (int i = 0; i < 2; ++i) {
    steps.step();
    recorded_step(steps);
  }
  profile::take();

  const bool on_cpu = options.device == kCpu;
  std::optional<Meter> meter;
  std::optional<CeilingLog> ceilings;
  Roof roof;
  int64_t of_meter = 0;  // bytes that are not the model's
  if (on_cpu) {
    const int64_t before = allocator::statistics().current_bytes;
    meter = cpu_meter();
    roof = ceilings.emplace(*meter).now(options.dtype);
    of_meter = allocator::statistics().current_bytes - before;
  }
  for (int64_t i = 0; i < options.steps; ++i) {
    // Each goes first in turn, so that a drift of the clock favours neither.
    if (i % 2 == 0) result.plain_s.push_back(seconds_of([&] { steps.step(); }));
    result.recorded_s.push_back(recorded_step(steps));
    if (i % 2 != 0) result.plain_s.push_back(seconds_of([&] { steps.step(); }));
    if (!on_cpu) continue;
    const Roof now = ceilings->now(options.dtype);
    roof = {.flops = std::max(roof.flops, now.flops), .bytes = std::max(roof.bytes, now.bytes)};
  }
  if (on_cpu) result.ceilings = ceilings->medians();
  result.recording = profile::take();
  for (profile::Track& thread : result.recording.threads)
    for (profile::MemoryPoint& point : thread.memory)
      if (point.device == kCpu) point.bytes -= of_meter;
  const CostOptions costs{.height = options.image.height,
                          .width = options.image.width,
                          .element_bytes = size_of(options.dtype),
                          .training = options.training};
  result.tables = summarize(result.recording, options.device, on_cpu ? thread_count() : 1,
                            placed_costs(config, costs), options.batch, roof);
  return result;
}

}  // namespace fathom::bench
