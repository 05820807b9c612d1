// Helpers of the scripts that prove the engine: checkpoints with reproducible weights, and the
// gradient of every parameter for comparison with another implementation. Not installed.

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/autograd.h"
#include "core/file.h"
#include "core/npy.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "models/load.h"
#include "models/save.h"
#include "tests/models/golden.h"
#include "tests/models/hash_fill.h"
#include "tests/train/stages/made_scenes.h"

namespace fathom {

static ModelSize size_named(const std::string& name) {
  if (name == "s") return ModelSize::S;
  if (name == "b") return ModelSize::B;
  if (name == "l") return ModelSize::L;
  if (name == "g") return ModelSize::g;
  fail("--size ", name, ": expected s, b, l or g");
}

// Weights that are a pure function of their names (tests/models/hash_fill.h).
static void write_hash_checkpoint(const std::string& out, int version, const std::string& size,
                                  double max_depth_m) {
  DepthAnythingConfig config = depth_anything_config(version, size_named(size));
  if (max_depth_m > 0) config.kind = DepthKind::metric, config.max_depth_m = max_depth_m;
  DepthAnything model(config);
  fill_with_hash(model, max_depth_m > 0 ? 0 : 4);
  save_model(out, model, version, {});
}

static void write_gradients(const std::string& weights, int64_t height, int64_t width,
                            const std::string& out, Device device) {
  LoadedModel loaded = load_model(weights, {});
  DepthAnything& model = loaded.model;
  for_each_parameter(model,
                     [&](const std::string&, Tensor& t, AxisOrder) { t = t.detach().to(device); });
  require_grad(model);
  const Tensor depth = model(hash_input(height, width).to(device));
  backward(sum(mul(depth, hash_loss_weights(depth.shape()).to(device))));
  // A parameter that took no part has no gradient and is left out.
  for_each_parameter(model, [](const std::string&, Tensor& t, AxisOrder) {
    t = t.grad();
    if (t.defined()) t = t.to(kCpu);
  });
  save_model(out, model, loaded.version, {});
}

// The model of a hash-filled checkpoint against the numbers of the reference implementation.
static void check_golden(const std::string& weights, double allowed, Device device) {
  LoadedModel loaded = load_model(weights, {});
  const bool metric = loaded.model.config.kind == DepthKind::metric;
  prepare_for_inference(loaded.model, DType::f32, device);
  const NoGrad no_grad;
  const auto compare = [&](const GoldenOutput& golden) {
    const Tensor depth = loaded.model(hash_input(golden.height, golden.width).to(device)).to(kCpu);
    const double deviation = golden_deviation(depth, golden);
    std::cout << "golden numbers at " << golden.height << " x " << golden.width
              << ": largest deviation " << deviation << "\n";
    check(deviation <= allowed, "the golden numbers are missed by more than ", allowed);
  };
  if (metric) return compare(kMetricS70);
  if (loaded.version == 1) return compare(kV1S70);
  compare(kV2S70);
  compare(kV2S518);
}

static void check_json(const std::string& path) {
  check(nlohmann::json::accept(read_text(path)), path, ": not JSON");
}

// Small scenes with manifests, and a configuration that learns from them in a moment.
static void write_scenes(const std::string& out, int count) {
  make_scenes(out, count);
  AtomicFile file(std::filesystem::path(out) / "config.json");
  file.write(config_text(scene_config(out)));
  file.commit();
}

static void compare_maps(const std::string& a, const std::string& b, double allowed) {
  const FloatMap first = read_npy(a), second = read_npy(b);
  check(first.height == second.height && first.width == second.width, "the sizes differ");
  double deviation = 0;
  for (size_t i = 0; i < first.values.size(); ++i) {
    const double difference = std::abs(double(first.values[i]) - double(second.values[i]));
    check(difference <= allowed, "value ", i, " is ", first.values[i], " and ", second.values[i]);
    deviation = std::max(deviation, difference);
  }
  std::cout << "largest deviation " << deviation << "\n";
}

}  // namespace fathom

int main(int argc, char** argv) {
  CLI::App program("Helpers of the proof scripts", "fathom_tools");
  program.require_subcommand(1);
  std::string out, weights, size = "s";
  int version = 2;
  double max_depth_m = 0;
  int64_t height = 70, width = 98;
  auto* hash = program.add_subcommand("hash-checkpoint", "Write a model with hash-filled weights");
  hash->add_option("--out", out)->required();
  hash->add_option("--version", version);
  hash->add_option("--size", size);
  hash->add_option("--max-depth", max_depth_m, "Make it metric");
  auto* gradients = program.add_subcommand(
      "gradients", "Write the gradient of sum(depth * r) for the hash input of a size");
  gradients->add_option("--weights", weights)->required();
  gradients->add_option("--height", height);
  gradients->add_option("--width", width);
  gradients->add_option("--out", out)->required();
  std::string device_name = "cpu";
  gradients->add_option("--device", device_name)->check(CLI::IsMember({"cpu", "cuda"}));
  double allowed = fathom::kGolden;
  auto* golden =
      program.add_subcommand("golden", "Check a hash-filled S model against the reference");
  golden->add_option("--weights", weights)->required();
  golden->add_option("--allowed", allowed, "Largest deviation");
  golden->add_option("--device", device_name)->check(CLI::IsMember({"cpu", "cuda"}));
  std::string first, second;
  auto* json = program.add_subcommand("json", "Check that a file is valid JSON");
  json->add_option("file", first)->required();
  auto* maps = program.add_subcommand("compare-maps", "Compare two .npy maps");
  maps->add_option("first", first)->required();
  maps->add_option("second", second)->required();
  maps->add_option("--allowed", allowed, "Largest deviation");
  int count = 8;
  auto* scenes = program.add_subcommand("scenes", "Write small labeled scenes and a configuration");
  scenes->add_option("--out", out)->required();
  scenes->add_option("--count", count);
  CLI11_PARSE(program, argc, argv);
  const fathom::Device device =
      device_name == "cuda" ? fathom::Device{fathom::Device::Type::cuda, 0} : fathom::kCpu;
  try {
    if (*hash) fathom::write_hash_checkpoint(out, version, size, max_depth_m);
    if (*golden) fathom::check_golden(weights, allowed, device);
    if (*gradients) fathom::write_gradients(weights, height, width, out, device);
    if (*json) fathom::check_json(first);
    if (*maps) fathom::compare_maps(first, second, allowed);
    if (*scenes) fathom::write_scenes(out, count);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "fathom_tools: " << error.what() << "\n";
    return 1;
  }
}
