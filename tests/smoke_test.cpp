#include <unistd.h>

#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "models/load.h"
#include "models/save.h"
#include "tests/models/hash_fill.h"
#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;

// A small model with the shape of the real ones.
static DepthAnything tiny_model(DepthKind kind) {
  DepthAnything model({.encoder = {.channels = 64, .layers = 4, .heads = 1, .hidden = 128},
                       .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
                       .taps = {0, 1, 2, 3},
                       .kind = kind,
                       .max_depth_m = kind == DepthKind::metric ? 8.0 : 1.0});
  fill_with_hash(model, kind == DepthKind::relative ? 4 : 0);
  return model;
}

static Tensor squared_error(const Tensor& y, const Tensor& target) {
  const Tensor difference = sub(y, target);
  return mean(mul(difference, difference));
}

static void descend(DepthAnything& model, double rate) {
  const NoGrad no_grad;
  for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) {
    if (!t.grad().defined()) return;
    copy_values(sub(t.detach(), scale(t.grad(), rate)), t);
    t.clear_grad();
  });
}

TEST_CASE("smoke: a tiny model learns one batch, saves, loads and infers the same") {
  const DepthKind kind = GENERATE(DepthKind::relative, DepthKind::metric);
  CAPTURE(name_of(kind));
  DepthAnything model = tiny_model(kind);
  const Tensor image = concat(std::vector{hash_input(28, 42), scale(hash_input(28, 42), -1)}, 0);
  // Two pictures, one a plane that falls, the other one that rises: nothing a constant explains.
  std::vector<double> depths;
  for (const double slope : {-1.0, 1.0})
    for (int i = 0; i < 28 * 42; ++i) depths.push_back(4 + slope * (i / 42 - 14) / 14);
  const Tensor target = from_values({2, 28, 42}, depths);

  require_grad(model);
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    const Tensor loss = squared_error(model(image), target);
    last = loss.item();
    if (step == 0) first = last;
    backward(loss);
    descend(model, 1e-3);
  }
  CAPTURE(first, last);
  CHECK(last < first / 10);

  const fs::path path =
      fs::temp_directory_path() / ("fathom-smoke-" + std::to_string(::getpid()) + ".safetensors");
  save_model(path, model, 2);
  LoadedModel loaded = load_model(path);
  fs::remove(path);
  CHECK(loaded.model.config == model.config);
  CHECK(loaded.version == 2);

  const NoGrad no_grad;
  const Tensor trained = model(image);
  CHECK(squared_error(trained, target).item() < last);
  CHECK(last < squared_error(full(target.shape(), 4), target).item());  // the best constant
  CHECK(same_bits(loaded.model(image), trained));
  prepare_for_inference(loaded.model, DType::f32);
  CHECK(same_bits(loaded.model(image), trained));
}

}  // namespace fathom
