#include "train/stages/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "core/autograd.h"
#include "core/cuda.h"
#include "core/device_choice.h"
#include "core/parallel.h"
#include "kernels/linear.h"
#include "train/data/manifest.h"
#include "train/log/progress.h"

namespace fathom {
namespace {

// Images of the manifests that can be read; the others' reasons go to `missing`.
int64_t count(const std::vector<std::string>& manifests, bool labels,
              std::vector<std::string>& missing) {
  int64_t images = 0;
  for (const std::string& path : manifests) try {
      const Manifest manifest(path);
      const int64_t usable = labels ? manifest.labeled() : manifest.size();
      check(usable > 0, path, ": no image with a label");
      images += usable;
    } catch (const Error& error) {
      missing.emplace_back(error.what());
    }
  return images;
}

DepthAnythingConfig network(const TrainConfig& config, StageName stage) {
  DepthAnythingConfig model = model_config(config);
  if (stage == StageName::metric) model.kind = DepthKind::metric;
  return model;
}

// Floating-point operations a second of a device, in a product of the size that training has.
double measured_flops(TensorOptions options) {
  const NoGrad no_grad;
  const bool cpu = options.device == kCpu;
  const int64_t N = cpu ? 1024 : 8192;
  const Tensor x = zeros({N, N}, options), weight = zeros({N, N}, options),
               bias = zeros({N}, options);
  const auto run = [&] {
    linear(x, weight, bias);
    if (!cpu) cuda_synchronize(options.device.index);
  };
  run();  // wakes the threads up
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  int runs = 0;
  for (; seconds < 0.2; ++runs) {
    run();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return 2.0 * double(N * N * N) * runs / seconds;
}

std::string gib(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", double(bytes) / double(1 << 30));
  return text;
}

}  // namespace

std::string name_of(StageName stage) {
  switch (stage) {
    case StageName::teacher: return "teacher";
    case StageName::student: return "student";
    case StageName::metric: return "metric";
  }
  fail("name_of: unknown stage ", int(stage));
}

std::filesystem::path pseudo_label_manifest(const TrainConfig& config) {
  return std::filesystem::path(config.label.out) / "manifest.jsonl";
}

StagePlan plan_stage(const TrainConfig& config, StageName stage, bool tolerate_missing) {
  StagePlan plan;
  int64_t epochs = 0, steps = 0, counted = 0, a_batch = 0;
  const auto labeled = [&] {
    check(!config.data.labeled.empty(), "data.labeled is empty; ", name_of(stage),
          " needs a manifest of images with labels");
    plan.labeled = count(config.data.labeled, true, plan.missing);
  };
  const auto simple = [&](const auto& section) {
    labeled();
    epochs = section.epochs, steps = section.steps, a_batch = section.batch;
    counted = plan.labeled, plan.images_per_batch = section.batch;
  };
  switch (stage) {
    case StageName::teacher: simple(config.teacher); break;
    case StageName::metric: simple(config.metric); break;
    case StageName::student: {
      const StudentSection& s = config.student;
      if (s.labeled_batch > 0) labeled();
      if (s.unlabeled_batch > 0) {
        check(!config.label.out.empty(),
              "label.out is empty; the student needs the folder of its "
              "pseudo labels, or student.unlabeled_batch 0");
        plan.unlabeled = count({pseudo_label_manifest(config).string()}, true, plan.missing);
      }
      check(s.unlabeled_batch > 0 || s.align_weight == 0, "student.align_weight is ",
            s.align_weight, ", but alignment needs unlabeled images; set it to 0");
      epochs = s.epochs, steps = s.steps;
      a_batch = s.unlabeled_batch > 0 ? s.unlabeled_batch : s.labeled_batch;
      counted = s.unlabeled_batch > 0 ? plan.unlabeled : plan.labeled;
      plan.images_per_batch = s.labeled_batch + s.unlabeled_batch;
    }
  }
  std::vector<std::string> ignored;
  count(config.data.validation, true, tolerate_missing ? plan.missing : ignored);
  check(tolerate_missing || ignored.empty(), ignored.empty() ? "" : ignored[0]);
  check(tolerate_missing || plan.missing.empty(), plan.missing.empty() ? "" : plan.missing[0]);
  plan.steps =
      steps > 0 ? steps : ceil_div(epochs * counted, a_batch * config.optimizer.accumulate);
  return plan;
}

double forward_flops(const DepthAnythingConfig& model, int64_t size) {
  const Dinov2Config& e = model.encoder;
  const auto& c = model.head.out_channels;
  const double P = double(size / e.patch) * double(size / e.patch), T = P + 1;
  const double C = double(e.channels), F = double(model.head.features);
  const double ffn = (e.swiglu ? 3 : 2) * double(e.hidden) * C;
  double encoder = P * 3 * 14 * 14 * C + double(e.layers) * (T * (4 * C * C + ffn) + 2 * T * T * C);
  // Levels of 16, 4, 1 and 1/4 pixels a patch; fusion units of four 3 x 3 convolutions (two on the
  // coarsest); then 8 x 8 and 14 x 14 pixels a patch.
  const double areas[] = {16, 4, 1, 0.25};
  double decoder =
      P * (16 * double(c[0] * c[0]) + 4 * double(c[1] * c[1]) + 0.25 * 9 * double(c[3] * c[3]));
  for (size_t i = 0; i < 4; ++i)
    decoder += P * (C * double(c[i]) +
                    areas[i] * (9 * double(c[i]) * F + (i == 3 ? 2 : 4) * 9 * F * F + F * F));
  decoder += P * (64 * 9 * F * F / 2 + 196 * (9 * F / 2 * 32 + 32));
  return 2 * (encoder + decoder);
}

int64_t estimate_training_bytes(const DepthAnythingConfig& model, const TrainConfig& config,
                                int64_t images, int64_t frozen_images, Device device) {
  const Dinov2Config& e = model.encoder;
  const int64_t P = config.data.size / e.patch * (config.data.size / e.patch), T = P + 1;
  const int64_t C = e.channels, F = model.head.features;
  const int64_t parameters = parameter_count(DepthAnything(model));
  const bool bf16 = precision_on(device, config) == "bf16";
  const int64_t states = 4 + (config.optimizer.ema > 0 ? 1 : 0);  // weight, gradient, m, v, average
  int64_t bytes = parameters * (4 * states + (bf16 ? 4 : 0));
  // Kept for the backward pass of a block: its input, both norms, q k v, the heads, the sum after
  // attention, and the hidden layer before and behind its activation.
  const int64_t block = T * (8 * C + 2 * e.hidden * (e.swiglu ? 2 : 1));
  const auto& c = model.head.out_channels;
  const int64_t decoder =
      P * (4 * C + 17 * c[0] + 5 * c[1] + c[2] + c[3] + 16 * 12 * F + 4 * 12 * F + 12 * F + 3 * F +
           64 * F / 2 + 196 * (F / 2 + 2 * 32 + 4) + 64 * F / 2 +
           196 * (F / 2 + 32));  // at the end: gradients of the largest maps
  bytes += images * (e.layers * block + decoder) * (bf16 ? 2 : 4);
  if (frozen_images > 0)
    bytes += parameter_count(Dinov2(e)) * (bf16 ? 2 : 4) +
             frozen_images * T * (6 * C + e.hidden) * (bf16 ? 2 : 4);
  const int64_t batch = images * config.data.size * config.data.size * (3 + 2) * 4;
  if (device == kCpu) return bytes + batch;
  constexpr int64_t kColumns = 256 << 20, kWorkspace = 32 << 20, kSegments = 64 << 20;
  return bytes / 10 * 11 + 3 * batch + kColumns + kWorkspace + kSegments;
}

std::string describe_plan(const TrainConfig& config, StageName stage) {
  const StagePlan plan = plan_stage(config, stage, true);
  const DepthAnythingConfig model = network(config, stage);
  const bool aligned = stage == StageName::student && config.student.align_weight > 0;
  const int64_t frozen = aligned ? config.student.unlabeled_batch : 0;
  const int64_t images = plan.images_per_batch * config.optimizer.accumulate;
  // Backward is two passes; the frozen encoder adds one over its images.
  const double flops = forward_flops(model, config.data.size) *
                       (3 * double(images) + 0.8 * double(frozen * config.optimizer.accumulate));
  const Device device = choose_device(config.device);
  const std::string precision = precision_on(device, config);
  const double speed =
      measured_flops({device == kCpu || precision == "f32" ? DType::f32 : DType::bf16, device});
  const double step_s = flops / (0.6 * speed);

  std::ostringstream out;
  out << "stage       " << name_of(stage) << "\n";
  out << "data        " << plan.labeled << " labeled, " << plan.unlabeled
      << " pseudo-labeled images, crops of " << config.data.size << "\n";
  for (const std::string& reason : plan.missing) out << "missing     " << reason << "\n";
  out << "model       " << config.model.size << ", " << model.encoder.layers << " blocks of "
      << model.encoder.channels << ", " << parameter_count(DepthAnything(model)) << " parameters, "
      << (config.model.weights.empty()
              ? config.model.encoder.empty() ? "random start" : config.model.encoder
              : config.model.weights)
      << "\n";
  out << "batch       " << plan.images_per_batch << " images x " << config.optimizer.accumulate
      << " a step, " << precision << "\n";
  out << "device      " << device;
  if (device != kCpu) out << ", " << cuda_devices()[size_t(device.index)].name;
  out << "\n";
  out << "steps       ";
  if (plan.steps > 0)
    out << plan.steps << "\n";
  else
    out << "unknown until the data are there\n";
  out << "memory      about "
      << gib(estimate_training_bytes(model, config, plan.images_per_batch, frozen, device))
      << " of tensors on " << device;
  if (device != kCpu) out << ", where " << gib(cuda_free_bytes(device.index)) << " are free,";
  out << " and " << config.data.queue_mib << " MiB at most of waiting samples\n";
  char text[160];
  std::snprintf(text, sizeof text,
                "time        about %.3g s a step at 60%% of the %.0f GFLOP/s measured now", step_s,
                speed * 1e-9);
  out << text;
  if (device == kCpu) out << " with " << thread_count() << " threads";
  if (plan.steps > 0) out << ", " << clock_text(step_s * double(plan.steps)) << " in all";
  out << "\n";
  return out.str();
}

}  // namespace fathom
