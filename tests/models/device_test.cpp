#include <cmath>

#include "core/cuda.h"
#include "models/depth_anything.h"
#include "models/load.h"
#include "tests/models/tiny_model.h"
#include "tests/testing.h"

namespace fathom {
namespace {

using Results = std::vector<std::pair<std::string, std::vector<double>>>;

DepthAnything tiny_model_in(TensorOptions options, DepthKind kind) {
  DepthAnything model = tiny_model(kind);
  for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) {
    t = t.detach().to(options.dtype).to(options.device);
  });
  return model;
}

Tensor two_pictures() {
  return concat(std::vector{hash_input(28, 42),
                            hash_input(28, 42).transpose(1, 2).contiguous().view({1, 28, 42, 3})},
                0);
}

// The map, and the gradient of every parameter that has one.
Results forward_and_backward(TensorOptions options, DepthKind kind) {
  DepthAnything model = tiny_model_in(options, kind);
  require_grad(model);
  const Tensor y = model(two_pictures().to(options.dtype).to(options.device));
  Generator generator{77};
  const Tensor dy = normal(y.shape(), generator, 0, 1, {DType::f32});
  backward(y, dy.to(options.dtype).to(options.device));
  Results results{{"depth", values(y)}};
  for_each_parameter(model, [&](const std::string& name, Tensor& t, AxisOrder) {
    if (t.grad().defined()) results.emplace_back(name, values(t.grad()));
  });
  return results;
}

double rms(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum / double(x.size()));
}

double rms_error(std::vector<double> x, const std::vector<double>& exact) {
  for (size_t i = 0; i < x.size(); ++i) x[i] -= exact[i];
  return rms(x);
}

// Runs f where there is a CUDA device.
template <class F>
void on_cuda(F f) {
  if (!cuda_devices().empty()) f(Device{Device::Type::cuda, 0});
}

}  // namespace

// Errors of all tensors together, each against the size of its tensor.
static double relative_error(const Results& results, const Results& exact) {
  double sum = 0;
  REQUIRE(results.size() == exact.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    CAPTURE(exact[i].first);
    REQUIRE(results[i].first == exact[i].first);
    const double error = rms_error(results[i].second, exact[i].second) / rms(exact[i].second);
    sum += error * error;
  }
  return std::sqrt(sum / double(exact.size()));
}

// Both devices are compared with f64. Neither sums in the other's order, and ReLUs whose input is
// near zero open on one and not on the other; a CUDA device fuses less and so rounds more often:
// the weights that LayerScale is folded into, the sums before GELU, columns, second residuals. Four
// times the CPU's error is an allowance for that, not a bound that was derived: in f32 of every
// tensor, with a rounding of each element beside it; in bf16, where that of a bias of few elements
// is a matter of luck, of all tensors together.
TEST_CASE("depth anything: a CUDA device agrees with the CPU, gradients of all weights included") {
  on_cuda([](Device device) {
    for (const DepthKind kind : {DepthKind::relative, DepthKind::metric}) {
      CAPTURE(name_of(kind));
      const Results exact = forward_and_backward({DType::f64}, kind);
      CHECK(exact.size() > 80);  // the map, and all weights but those that are never used
      const Results cpu = forward_and_backward({DType::f32}, kind);
      const Results cuda = forward_and_backward({DType::f32, device}, kind);
      REQUIRE(cuda.size() == exact.size());
      for (size_t i = 0; i < exact.size(); ++i) {
        CAPTURE(exact[i].first);
        REQUIRE(cuda[i].first == exact[i].first);
        CHECK(rms_error(cuda[i].second, exact[i].second) <=
              4 * rms_error(cpu[i].second, exact[i].second) +
                  epsilon(DType::f32) * rms(exact[i].second));
      }
      CHECK(relative_error(forward_and_backward({DType::bf16, device}, kind), exact) <=
            4 * relative_error(forward_and_backward({DType::bf16}, kind), exact));
    }
  });
}

TEST_CASE("depth anything: equal bits in every run on a CUDA device") {
  on_cuda([](Device device) {
    const Results first = forward_and_backward({DType::bf16, device}, DepthKind::relative);
    CHECK(first == forward_and_backward({DType::bf16, device}, DepthKind::relative));
  });
}

TEST_CASE("depth anything: inference on a CUDA device, in f16 too") {
  on_cuda([](Device device) {
    const NoGrad no_grad;
    const Tensor image = two_pictures();
    const std::vector<double> exact =
        values(tiny_model_in({DType::f64}, DepthKind::metric)(image.to(DType::f64)));
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      CAPTURE(dtype);
      DepthAnything model = tiny_model(DepthKind::metric), here = tiny_model(DepthKind::metric);
      prepare_for_inference(model, dtype, device);
      prepare_for_inference(here, dtype);
      const double error = rms_error(values(here(image.to(dtype))), exact);
      const Tensor y = model(image.to(device).to(dtype));
      CHECK(y.device() == device);
      CHECK(rms_error(values(y), exact) <= 4 * error + epsilon(dtype) * rms(exact));
    }
  });
}

}  // namespace fathom
