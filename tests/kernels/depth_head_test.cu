#include "kernels/cuda/depth_head.h"

#include "kernels/conv2d.h"
#include "tests/kernel_host/testing.h"
#include "tests/kernels/plain_maps.h"

namespace fathom {
namespace {

struct Size {
  int64_t B, h, w, F, H, W;
};

template <class E>
struct Head {
  std::vector<E> x, weight1, bias1, weight2, bias2;

  explicit Head(const Size& s)
      : x(normal<E>(s.B * s.h * s.w * s.F, 1)),
        weight1(normal<E>(32 * 9 * s.F, 2, 1 / std::sqrt(9.0 * double(s.F)))),
        bias1(normal<E>(32, 3)),
        weight2(normal<E>(32, 4, 1 / std::sqrt(32.0))),
        bias2(normal<E>(1, 5)) {}

  std::vector<E> run(const Size& s, bool sigmoid, float scale) const {
    DeviceArray<E> device_x(x), w1(weight1), b1(bias1), w2(weight2), b2(bias2),
        y(size_t(s.B * s.H * s.W));
    cuda::depth_head<E>(nullptr, {.x = device_x,
                                  .weight1 = w1,
                                  .bias1 = b1,
                                  .weight2 = w2,
                                  .bias2 = b2,
                                  .y = y,
                                  .B = s.B,
                                  .h = s.h,
                                  .w = s.w,
                                  .F = s.F,
                                  .H = s.H,
                                  .W = s.W,
                                  .sigmoid = sigmoid,
                                  .scale = scale});
    return y.get();
  }
};

// The steps in double, with the one rounding on the way: that of the resized map.
template <class E>
void check_head(const Size& s, bool sigmoid, int schedules) {
  CAPTURE(s.B, s.h, s.w, s.F, s.H, s.W, sigmoid, dtype_of<E>());
  const Head<E> head(s);
  const float scale = sigmoid ? 20.0f : 1.0f;
  Map map = plain_resize(map_of(tensor_of({s.B, s.h, s.w, s.F}, head.x)), s.H, s.W);
  const Map hidden = plain_relu(
      plain_conv(map, tensor_of({32, 3, 3, s.F}, head.weight1), tensor_of({32}, head.bias1), 1, 1));
  const auto last =
      plain_conv(hidden, tensor_of({1, 1, 1, 32}, head.weight2), tensor_of({1}, head.bias2), 1, 0);
  // An error of the resized map, by rounding to E and by positions in float (below 64, so by 64
  // epsilon and, of values whose differences are below 8, twice 8 times that), times the sum of
  // the weights' magnitudes; then 9 F + 33 products and sums in float; then the last rounding.
  double most1 = 0, sum2 = 0, largest = 0;
  for (int64_t o = 0; o < 32; ++o) {
    double sum = 0;
    for (int64_t i = 0; i < 9 * s.F; ++i)
      sum += std::abs(double(float(head.weight1[o * 9 * s.F + i])));
    most1 = std::max(most1, sum);
    sum2 += std::abs(double(float(head.weight2[o])));
  }
  for (const double v : map.v) largest = std::max(largest, std::abs(v));
  const double e = epsilon(DType::f32);
  const double resized = rounding<E>() * largest + 16 * 64 * e;
  const double sums = (9 * double(s.F) + 33) * e * (most1 * largest + 4);
  std::vector<double> expected, allowed;
  for (const double v : last.v) {
    expected.push_back(scale * (sigmoid ? 1 / (1 + std::exp(-v)) : std::max(v, 0.0)));
    allowed.push_back(scale * (sigmoid ? 0.25 : 1) * sum2 * (most1 * resized + sums) +
                      (rounding<E>() + 8 * e) * std::abs(expected.back()) + 1e-7);
  }
  const auto cpu = values(depth_head(
      tensor_of({s.B, s.h, s.w, s.F}, head.x), s.H, s.W, tensor_of({32, 3, 3, s.F}, head.weight1),
      tensor_of({32}, head.bias1), tensor_of({1, 1, 1, 32}, head.weight2),
      tensor_of({1}, head.bias2), sigmoid ? HeadActivation::sigmoid : HeadActivation::relu, scale));
  std::vector<double> first;
  under_schedules(schedules, [&] {
#if defined(FATHOM_KERNEL_HOST)
    gpu::host::reset_statistics();
#endif
    const auto y = head.run(s, sigmoid, scale);
    CHECK(within(y, expected, allowed));
    CHECK(within(y, cpu, twice(allowed)));
    if (first.empty()) first = widened(y);
    CHECK(widened(y) == first);
#if defined(FATHOM_KERNEL_HOST)
    CHECK(gpu::host::statistics().ldmatrix_bank_conflicts == 0);
#endif
  });
}

}  // namespace

TEST_CASE("cuda depth_head: matches its steps") {
  // One pixel, a tile and one pixel more, several tiles; half a step of channels, one and a half.
  const Size size = GENERATE(Size{1, 1, 1, 16, 1, 1}, Size{2, 3, 5, 48, 7, 17},
                             Size{1, 9, 10, 32, 16, 16}, Size{1, 11, 7, 16, 33, 14});
  check_head<bfloat16>(size, false, size.B == 2 ? 1 : 0);
  check_head<float16>(size, true, 0);
}

TEST_CASE("cuda depth_head: a NaN reaches what is interpolated from it") {
  const Size s{1, 5, 6, 16, 5, 6};  // of the same size: pixels are copied
  for (const bool sigmoid : {false, true}) {
    Head<bfloat16> head(s);
    head.x[size_t((2 * s.w + 3) * s.F + 7)] = bfloat16(NAN);
    const auto y = head.run(s, sigmoid, 1.0f);
    for (int64_t h = 0; h < s.H; ++h)
      for (int64_t w = 0; w < s.W; ++w)
        REQUIRE(std::isnan(float(y[size_t(h * s.W + w)])) ==
                (std::abs(h - 2) <= 1 && std::abs(w - 3) <= 1));
  }
}

TEST_CASE("cuda depth_head: says which channels it takes") {
  DeviceArray<bfloat16> a(16);
  CHECK_THROWS_WITH(cuda::depth_head<bfloat16>(nullptr, {.x = a,
                                                         .weight1 = a,
                                                         .bias1 = a,
                                                         .weight2 = a,
                                                         .bias2 = a,
                                                         .y = a,
                                                         .B = 1,
                                                         .h = 1,
                                                         .w = 1,
                                                         .F = 8,
                                                         .H = 1,
                                                         .W = 1}),
                    Catch::Contains("multiples of 16, not 8"));
}

}  // namespace fathom
