// The end of the decoder in one op, which kernels/conv2d.h declares.
#include <cmath>

#include "kernels/bilinear.h"
#include "kernels/conv2d.h"
#include "kernels/elementwise.h"
#include "tests/kernels/plain_maps.h"
#include "tests/kernels/sweeps.h"

namespace fathom {
namespace {

struct Head {
  Tensor x, weight1, bias1, weight2, bias2;

  // Weights whose sums are of order 1, so that the sigmoid is not saturated.
  Head(TensorOptions options, int64_t F, int64_t O) {
    Generator generator{9};
    const auto draw = [&](const Shape& shape, double deviation) {
      return normal(shape, generator, 0, deviation, {options.dtype}).to(options.device);
    };
    x = draw({2, 7, 5, F}, 1);
    weight1 = draw({O, 3, 3, F}, 1 / std::sqrt(9.0 * double(F)));
    bias1 = draw({O}, 1);
    weight2 = draw({1, 1, 1, O}, 1 / std::sqrt(double(O)));
    bias2 = draw({1}, 1);
  }
  std::vector<double> expected(int64_t H, int64_t W, HeadActivation activation,
                               double scale) const {
    const Map hidden = plain_relu(plain_conv(plain_resize(map_of(x), H, W), weight1, bias1, 1, 1));
    std::vector<double> y = plain_conv(hidden, weight2, bias2, 1, 0).v;
    for (double& e : y)
      e = scale * (activation == HeadActivation::relu ? std::max(e, 0.0) : 1 / (1 + std::exp(-e)));
    return y;
  }
};

}  // namespace

TEST_CASE("depth_head: equals its steps") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const auto activation = GENERATE(HeadActivation::relu, HeadActivation::sigmoid);
  const double scale = activation == HeadActivation::relu ? 3 : 80;
  const bool on_cpu = backend.options.device == kCpu;
  const int64_t O = GENERATE(32, 19), H = GENERATE(13, 7), W = GENERATE(37, 5);
  if (!on_cpu && (H != 13 || W != 37)) return;  // depth_head_test.cu has other sizes
  const int64_t F = on_cpu ? 33 : 48;  // with 32 hidden channels a kernel of its own on a device
  CAPTURE(backend, F, O, H, W, activation == HeadActivation::relu);
  const Head h(backend.options, F, O);
  const Tensor y = depth_head(h.x, H, W, h.weight1, h.bias1, h.weight2, h.bias2, activation, scale);
  CHECK(y.shape() == Shape{2, H, W});
  // In a type of its own: errors of hidden values of order 1, of which the resized map's rounding
  // is 2 epsilon (weights 1 / sqrt(K), see tolerance_of) and their own epsilon / 2; their sum with
  // weights 1 / sqrt(O) errs by 4 of that with the largest of many. The sums in float: 4 sqrt(K)
  // epsilon, and positions, which 4 * 64 epsilon bound. The slope of the sigmoid is 1/4 at most.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const double slope = activation == HeadActivation::relu ? scale : scale / 4;
  const Tolerance tolerance{
      .absolute = slope * (4 * epsilon(dtype) + (4 * std::sqrt(9.0 * double(F)) + 4 * 64) * e),
      .relative = 2 * epsilon(dtype)};
  CHECK(close(y, h.expected(H, W, activation, scale), tolerance));

  const auto strided = strided_copy_of;
  CHECK(same_bits(depth_head(strided(h.x), H, W, strided(h.weight1), strided(h.bias1),
                             strided(h.weight2), strided(h.bias2), activation, scale),
                  y));
  CHECK(same_bits(depth_head(h.x, H, W, pack_conv2d(h.weight1, 1, 1), h.bias1,
                             pack_conv2d(h.weight2, 1, 0), h.bias2, activation, scale),
                  y));

  // The composition of the public ops, as the model runs it under gradients.
  const Tensor hidden =
      relu(conv2d(interpolate_bilinear(h.x, H, W, true), h.weight1, h.bias1, {.pad = 1}));
  const Tensor last = conv2d(hidden, h.weight2, h.bias2);
  const Tensor steps =
      fathom::scale(activation == HeadActivation::relu ? relu(last) : sigmoid(last), scale);
  // The steps round the sums and the sigmoid besides: sums up to 8.
  CHECK(close(y, values(steps),
              {.absolute = 2 * tolerance.absolute + slope * 4 * epsilon(dtype),
               .relative = 4 * epsilon(dtype)}));
}

TEST_CASE("depth_head: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Head h({dtype}, 16, 32);
  CHECK(same_bits_with_any_threads([&] {
    return std::vector{depth_head(h.x, 67, 131, h.weight1, h.bias1, h.weight2, h.bias2,
                                  HeadActivation::sigmoid, 20)};
  }));
}

TEST_CASE("depth_head: says what is wrong") {
  Head h({DType::f32}, 5, 32);
  const auto run = [](const Head& h, int64_t H = 9, int64_t W = 9) {
    return depth_head(h.x, H, W, h.weight1, h.bias1, h.weight2, h.bias2, HeadActivation::relu);
  };
  CHECK_THROWS_WITH(run(h, 0, 9), Catch::Contains("at least 1 x 1, got 0 x 9"));
  const auto with = [&](Tensor Head::*member, const Tensor& value) {
    Head changed = h;
    changed.*member = value;
    return changed;
  };
  CHECK_THROWS_WITH(run(with(&Head::bias1, full({3}, 1))), Catch::Contains("do not fit together"));
  CHECK_THROWS_WITH(run(with(&Head::bias1, {})), Catch::Contains("both biases"));
  CHECK_THROWS_WITH(run(with(&Head::bias2, {})), Catch::Contains("both biases"));
  CHECK_THROWS_WITH(run(with(&Head::bias2, full({1}, 1, {DType::f64}))),
                    Catch::Contains("share dtype"));
  for (const auto member : {&Head::x, &Head::weight1, &Head::bias1, &Head::weight2, &Head::bias2}) {
    const Head leaf = with(member, (h.*member).detach().set_requires_grad());
    CHECK_THROWS_WITH(run(leaf), Catch::Contains("has no gradient"));
    const NoGrad no_grad;
    CHECK_NOTHROW(run(leaf));
  }
}

}  // namespace fathom
