#include "kernels/cuda/bilinear.h"

#include <algorithm>

#include "kernels/bilinear.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Size {
  int64_t B, H, W, C, height, width;
};

// The input position of an output pixel as PyTorch defines it, clamped to the outer pixels'
// centres.
double position(int64_t i, int64_t from, int64_t to, bool align_corners) {
  const double last = double(from - 1);
  if (align_corners) return to > 1 ? double(i) * last / double(to - 1) : 0.0;
  return std::clamp((double(i) + 0.5) * double(from) / double(to) - 0.5, 0.0, last);
}

double hat(double distance) { return std::max(0.0, 1 - std::abs(distance)); }

template <class T>
void check_bilinear(const Size& s, bool align_corners, int schedules) {
  CAPTURE(s.B, s.H, s.W, s.C, s.height, s.width, align_corners, dtype_of<T>());
  const auto x = normal<T>(s.B * s.H * s.W * s.C, 1);
  const double e = epsilon(DType::f32);
  std::vector<double> expected, allowed;
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t i = 0; i < s.height; ++i)
      for (int64_t j = 0; j < s.width; ++j)
        for (int64_t c = 0; c < s.C; ++c) {
          const double v = position(i, s.H, s.height, align_corners),
                       h = position(j, s.W, s.width, align_corners);
          double sum = 0, largest = 0;
          for (int64_t y = 0; y < s.H; ++y)
            for (int64_t z = 0; z < s.W; ++z) {
              const double weight = hat(v - double(y)) * hat(h - double(z));
              const double value = cast<double>(x[((b * s.H + y) * s.W + z) * s.C + c]);
              sum += weight * value;
              if (hat(0.99 * (v - double(y))) * hat(0.99 * (h - double(z))) > 0)
                largest = std::max(largest, std::abs(value));
            }
          expected.push_back(sum);
          // A position is a product and two sums in float: its error, times the largest difference
          // of neighbours, is that of the weights; 8 more roundings combine the taps.
          allowed.push_back((2 * 3 * (v + h + 2) + 8) * e * largest +
                            std::abs(sum) * rounding<T>() + 1e-30);
        }
  const std::vector<double> cpu = values(
      interpolate_bilinear(tensor_of({s.B, s.H, s.W, s.C}, x), s.height, s.width, align_corners));
  under_schedules(schedules, [&] {
    DeviceArray<T> dx(x), y(expected.size());
    cuda::bilinear_forward<T>(nullptr, dx, y, s.B, s.H, s.W, s.C, s.height, s.width, align_corners);
    CHECK(within(y.get(), expected, allowed));
    CHECK(within(y.get(), cpu, twice(allowed)));
  });
}

// The transpose of the same matrix of weights.
template <class T>
void check_backward(const Size& s, bool align_corners, int schedules) {
  CAPTURE(s.B, s.H, s.W, s.C, s.height, s.width, align_corners, dtype_of<T>());
  const auto dy = normal<T>(s.B * s.height * s.width * s.C, 2);
  const double e = epsilon(DType::f32);
  std::vector<double> expected, allowed;
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t y = 0; y < s.H; ++y)
      for (int64_t z = 0; z < s.W; ++z)
        for (int64_t c = 0; c < s.C; ++c) {
          double sum = 0, of_weights = 0, size = 0, terms = 0;
          for (int64_t i = 0; i < s.height; ++i)
            for (int64_t j = 0; j < s.width; ++j) {
              const double v = position(i, s.H, s.height, align_corners) - double(y),
                           h = position(j, s.W, s.width, align_corners) - double(z);
              if (hat(0.99 * v) * hat(0.99 * h) == 0) continue;
              const double value = cast<double>(dy[((b * s.height + i) * s.width + j) * s.C + c]);
              sum += hat(v) * hat(h) * value;
              // A position is a product and two sums in float, and at most one pixel further than
              // y: its error, and so that of a weight, is 3 (y + 2) epsilon, and both weights are
              // at most 1.
              of_weights += std::abs(value) * 3 * (double(y + z) + 4) * e;
              size += std::abs(value), terms += 1;
            }
          expected.push_back(sum);
          // Of every term one minus a position and two products, and as many sums as terms.
          allowed.push_back(of_weights + (terms + 3) * e * size + std::abs(sum) * rounding<T>() +
                            (dtype_of<T>() == DType::f16 ? 0x1p-25 : 1e-30));  // underflow
        }
  Tensor cpu = empty({s.B, s.H, s.W, s.C}, {dtype_of<T>()});
  kernels::bilinear_backward(CpuStream{}, tensor_of({s.B, s.height, s.width, s.C}, dy),
                             align_corners, cpu);
  std::vector<double> first;
  under_schedules(schedules, [&] {
    DeviceArray<T> d(dy), dx(expected.size());
    cuda::bilinear_backward<T>(nullptr, d, dx, s.B, s.H, s.W, s.C, s.height, s.width,
                               align_corners);
    CHECK(within(dx.get(), expected, allowed));
    CHECK(within(dx.get(), values(cpu), twice(allowed)));
    if (first.empty()) first = widened(dx.get());
    CHECK(widened(dx.get()) == first);  // the bits do not depend on the schedule
  });
}

}  // namespace

TEST_CASE("cuda bilinear: the gradient is the adjoint") {
  const bool align_corners = GENERATE(true, false);
  // Larger, smaller, both, one pixel to many and many to one.
  const Size size =
      GENERATE(Size{2, 7, 5, 3, 19, 11}, Size{1, 1, 1, 8, 4, 9}, Size{1, 9, 9, 5, 1, 1},
               Size{2, 4, 6, 16, 7, 11}, Size{1, 19, 19, 8, 37, 37}, Size{1, 11, 13, 8, 5, 6},
               Size{1, 2, 3, 24, 3, 2}, Size{1, 3, 17, 1, 40, 4}, Size{1, 5, 4, 8, 5, 4});
  check_backward<float>(size, align_corners, 1);
  check_backward<bfloat16>(size, align_corners, 0);
  check_backward<float16>(size, align_corners, 0);
}

TEST_CASE("cuda bilinear: matches its definition") {
  const bool align_corners = GENERATE(true, false);
  const Size size =
      GENERATE(Size{2, 7, 5, 3, 19, 33}, Size{1, 1, 1, 8, 4, 4}, Size{1, 9, 9, 5, 1, 1},
               Size{2, 4, 6, 16, 7, 11}, Size{1, 19, 19, 8, 37, 37}, Size{1, 11, 13, 8, 5, 6},
               Size{1, 2, 3, 24, 3, 2}, Size{3, 1, 8, 1, 5, 3});
  check_bilinear<float>(size, align_corners, 1);
  check_bilinear<bfloat16>(size, align_corners, 0);
  check_bilinear<float16>(size, align_corners, 0);
}

TEST_CASE("cuda bilinear: the same size copies") {
  const bool align_corners = GENERATE(true, false);
  for (const int64_t C : {3, 8}) {
    const auto x = normal<float>(2 * 6 * 5 * C, 1);
    under_schedules(0, [&] {
      DeviceArray<float> dx(x), y(x.size());
      cuda::bilinear_forward<float>(nullptr, dx, y, 2, 6, 5, C, 6, 5, align_corners);
      CHECK(y.get() == x);
    });
  }
}

}  // namespace fathom
