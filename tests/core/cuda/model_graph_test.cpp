// A whole model, forward and backward, as one captured step.
#include "core/cuda.h"
#include "core/cuda/graph.h"
#include "kernels/elementwise.h"
#include "models/depth_anything.h"
#include "tests/models/hash_fill.h"
#include "tests/testing.h"

namespace fathom {

TEST_CASE("cuda graph: a model's step, forward and backward, is captured and replayed") {
  if (cuda_devices().empty()) return;
  const TensorOptions options{DType::bf16, {Device::Type::cuda, 0}};
  // Positions are stored for the picture's grid, as in training at the model's own size, or
  // resized.
  const int64_t table = GENERATE(2, 3);
  DepthAnything model(
      {.encoder = {.channels = 64, .layers = 4, .heads = 1, .hidden = 128, .table = table},
       .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
       .taps = {0, 1, 2, 3}});
  fill_with_hash(model, 4);
  for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) {
    t = t.detach().to(options.dtype).to(options.device);
  });
  require_grad(model);
  Tensor image = hash_input(28, 28).to(options.dtype).to(options.device), depth;
  const Tensor dy = full({1, 28, 28}, 1, options);
  const auto step = [&] {
    for_each_parameter(model, [](const std::string&, Tensor& t, AxisOrder) { t.clear_grad(); });
    const Tensor y = model(image);
    backward(y, dy);
    depth = y.detach();
  };
  const auto results = [&] {
    std::vector<std::vector<double>> all{values(depth)};
    for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) {
      if (t.grad().defined()) all.push_back(values(t.grad()));
    });
    return all;
  };
  step();
  const auto first = results();

  cuda::Graph graph;
  graph.begin(cuda::current_stream(0));
  step();
  graph.end();
  graph.replay();
  CHECK(results() == first);

  {
    const NoGrad no_grad;
    copy_values(scale(image.to(DType::f32).to(kCpu), -1), image);
  }
  graph.replay();
  const auto replayed = results();
  CHECK(replayed != first);
  step();
  CHECK(results() == replayed);
}

}  // namespace fathom
