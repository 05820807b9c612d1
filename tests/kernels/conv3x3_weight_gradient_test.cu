#include "core/autograd.h"
#include "kernels/conv2d.h"
#include "kernels/cuda/conv3x3.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Size {
  int64_t B, H, W, I, O;
};

struct Reference {
  std::vector<double> dweight, allowed;
};

// The definition in double, and a bound on its error in float.
template <class E>
Reference reference(const std::vector<E>& x, const std::vector<E>& dy, const Size& s, bool relu) {
  const auto wide_x = widened(x), wide_dy = widened(dy);
  std::vector<double> sums(size_t(s.O * 9 * s.I)), terms(sums.size());
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t h = 0; h < s.H; ++h)
      for (int64_t w = 0; w < s.W; ++w)
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t row = h + tap / 3 - 1, column = w + tap % 3 - 1;
          if (row < 0 || row >= s.H || column < 0 || column >= s.W) continue;
          for (int64_t o = 0; o < s.O; ++o)
            for (int64_t i = 0; i < s.I; ++i) {
              double value = wide_x[size_t(((b * s.H + row) * s.W + column) * s.I + i)];
              if (relu) value = std::max(value, 0.0);
              const double term = value * wide_dy[size_t(((b * s.H + h) * s.W + w) * s.O + o)];
              sums[size_t((o * 9 + tap) * s.I + i)] += term;
              terms[size_t((o * 9 + tap) * s.I + i)] += std::abs(term);
            }
        }
  Reference r{sums, {}};
  // A product a pixel, added in any order; one that underflows loses less than 1e-37.
  for (const double t : terms)
    r.allowed.push_back(double(s.B * s.H * s.W) * (epsilon(DType::f32) * t + 1e-37));
  return r;
}

template <class E>
void check_weight_gradient(const Size& s, bool relu, int schedules) {
  CAPTURE(s.B, s.H, s.W, s.I, s.O, relu, dtype_of<E>());
  const auto x = normal<E>(s.B * s.H * s.W * s.I, 1), dy = normal<E>(s.B * s.H * s.W * s.O, 2);
  const Reference expected = reference(x, dy, s, relu);

  const Tensor weight = full({s.O, 3, 3, s.I}, 1, {dtype_of<E>()}).set_requires_grad();
  backward(conv2d(tensor_of({s.B, s.H, s.W, s.I}, x), weight, {}, {.pad = 1, .relu_input = relu}),
           tensor_of({s.B, s.H, s.W, s.O}, dy));
  std::vector<double> rounded = twice(expected.allowed);
  for (size_t i = 0; i < rounded.size(); ++i)  // the CPU's, to E
    rounded[i] += rounding<E>() * std::abs(expected.dweight[i]) + 0x1p-25;

  const int64_t slices = cuda::conv3x3_weight_gradient_slices(s.B, s.H, s.W, s.I, s.O);
  std::vector<float> first;
  under_schedules(schedules, [&] {
    DeviceArray<E> device_x(x), device_dy(dy);
    DeviceArray<float> dweight(expected.dweight.size()), workspace(slices * s.O * 9 * s.I);
#if defined(FATHOM_KERNEL_HOST)
    gpu::host::reset_statistics();
#endif
    cuda::conv3x3_weight_gradient<E>(nullptr, {.x = device_x,
                                               .dy = device_dy,
                                               .dweight = dweight,
                                               .workspace = workspace,
                                               .B = s.B,
                                               .H = s.H,
                                               .W = s.W,
                                               .I = s.I,
                                               .O = s.O,
                                               .relu_input = relu});
    CHECK(within(dweight.get(), expected.dweight, expected.allowed));
    CHECK(within(dweight.get(), values(weight.grad()), rounded));
    if (first.empty()) first = dweight.get();
    CHECK(dweight.get() == first);  // the bits do not depend on the schedule
#if defined(FATHOM_KERNEL_HOST)
    CHECK(gpu::host::statistics().ldmatrix_bank_conflicts == 0);
#endif
  });
}

}  // namespace

TEST_CASE("cuda conv3x3 weight gradient: matches its definition") {
  // One pixel; narrow maps; one and more strips, the last of one pixel; slices that begin and end
  // inside a strip; one block of outputs and channels and several, of both sizes, not full.
  const Size size = GENERATE(Size{1, 1, 1, 16, 16}, Size{2, 5, 7, 16, 48}, Size{1, 2, 33, 32, 32},
                             Size{3, 3, 2, 80, 16}, Size{1, 21, 5, 48, 80}, Size{2, 9, 65, 16, 32});
  check_weight_gradient<bfloat16>(size, size.B == 3, size.B == 2 ? 1 : 0);
  check_weight_gradient<float16>(size, size.B != 3, 0);
}

TEST_CASE("cuda conv3x3 weight gradient: slices by the shape alone") {
  // Some eight warps a multiprocessor of a large device; never more slices than eighths of units.
  CHECK(cuda::conv3x3_weight_gradient_slices(16, 148, 148, 64, 64) == 128);
  CHECK(cuda::conv3x3_weight_gradient_slices(16, 148, 148, 256, 256) == 8);
  CHECK(cuda::conv3x3_weight_gradient_slices(16, 518, 518, 32, 32) == 512);
  CHECK(cuda::conv3x3_weight_gradient_slices(1, 37, 37, 64, 64) == 10);
  CHECK(cuda::conv3x3_weight_gradient_slices(1, 1, 1, 1024, 1024) == 1);
}

TEST_CASE("cuda conv3x3 weight gradient: a NaN reaches its taps") {
  const Size s{1, 4, 5, 16, 16};
  auto x = normal<bfloat16>(s.H * s.W * s.I, 1);
  x[size_t((0 * s.W + 2) * s.I + 7)] =
      bfloat16(NAN);  // in the first row: never under the last taps
  DeviceArray<bfloat16> device_x(x), dy(normal<bfloat16>(s.H * s.W * s.O, 2));
  DeviceArray<float> dweight(size_t(s.O * 9 * s.I)), workspace(size_t(s.O * 9 * s.I));
  cuda::conv3x3_weight_gradient<bfloat16>(nullptr, {.x = device_x,
                                                    .dy = dy,
                                                    .dweight = dweight,
                                                    .workspace = workspace,
                                                    .B = 1,
                                                    .H = s.H,
                                                    .W = s.W,
                                                    .I = s.I,
                                                    .O = s.O,
                                                    .relu_input = true});
  const auto d = dweight.get();
  for (int64_t o = 0; o < s.O; ++o)
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t i = 0; i < s.I; ++i)
        REQUIRE(std::isnan(d[size_t((o * 9 + tap) * s.I + i)]) == (i == 7 && tap < 6));
}

TEST_CASE("cuda conv3x3 weight gradient: says which channels it takes") {
  DeviceArray<bfloat16> a(1024);
  DeviceArray<float> b(1024);
  CHECK_THROWS_WITH(
      cuda::conv3x3_weight_gradient<bfloat16>(
          nullptr,
          {.x = a, .dy = a, .dweight = b, .workspace = b, .B = 1, .H = 1, .W = 1, .I = 8, .O = 16}),
      Catch::Contains("multiples of 16, not 8 in and 16 out"));
}

}  // namespace fathom
