#include "kernels/cuda/conv3x3.h"

#include "kernels/conv2d.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Size {
  int64_t B, H, W, I, O;
};
enum class Fused { kNothing, kBias, kBiasRelu, kBiasResiduals, kReluInput, kMask };

bool has_bias(Fused fused) {
  return fused == Fused::kBias || fused == Fused::kBiasRelu || fused == Fused::kBiasResiduals;
}

struct Reference {
  std::vector<double> y, allowed;
};

// The definition in double, and a bound on its error in float.
template <class E>
Reference reference(const std::vector<E>& x, const std::vector<E>& weight,
                    const std::vector<E>& bias, const std::vector<E>& residual, const Size& s,
                    Fused fused) {
  const double e = epsilon(DType::f32);
  const auto wide_x = widened(x), wide_weight = widened(weight), wide_bias = widened(bias),
             wide_residual = widened(residual);
  Reference r;
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t h = 0; h < s.H; ++h)
      for (int64_t w = 0; w < s.W; ++w)
        for (int64_t o = 0; o < s.O; ++o) {
          double y = 0, terms = 0;
          for (int64_t dh = -1; dh <= 1; ++dh)
            for (int64_t dw = -1; dw <= 1; ++dw) {
              if (h + dh < 0 || h + dh >= s.H || w + dw < 0 || w + dw >= s.W) continue;
              const double* pixel = &wide_x[((b * s.H + h + dh) * s.W + w + dw) * s.I];
              const double* taps = &wide_weight[(o * 9 + (dh + 1) * 3 + dw + 1) * s.I];
              for (int64_t i = 0; i < s.I; ++i) {
                if (fused == Fused::kReluInput && pixel[i] < 0) continue;
                y += pixel[i] * taps[i], terms += std::abs(pixel[i] * taps[i]);
              }
            }
          const double add = wide_residual[((b * s.H + h) * s.W + w) * s.O + o];
          if (has_bias(fused)) y += wide_bias[o], terms += std::abs(wide_bias[o]);
          if (fused == Fused::kBiasRelu) y = std::max(y, 0.0);
          if (fused == Fused::kBiasResiduals) y += 2 * add, terms += 2 * std::abs(add);
          if (fused == Fused::kMask && add <= 0) y = terms = 0;
          r.y.push_back(y);
          // 9 I products and four more terms in any order, and the rounding of the result.
          r.allowed.push_back((9 * double(s.I) + 4) * e * terms + rounding<E>() * std::abs(y) +
                              1e-7);  // underflow of f16
        }
  return r;
}

template <class E>
void check_conv3x3(const Size& s, Fused fused, int schedules) {
  CAPTURE(s.B, s.H, s.W, s.I, s.O, int(fused), dtype_of<E>());
  const auto x = normal<E>(s.B * s.H * s.W * s.I, 1);
  const auto weight = normal<E>(s.O * 9 * s.I, 2, 1 / std::sqrt(9.0 * double(s.I)));
  const auto bias = normal<E>(s.O, 3), residual = normal<E>(s.B * s.H * s.W * s.O, 4);
  const Reference expected = reference(x, weight, bias, residual, s, fused);

  const Tensor add = tensor_of({s.B, s.H, s.W, s.O}, residual);
  Conv2dOptions options{
      .pad = 1, .relu_input = fused == Fused::kReluInput, .relu = fused == Fused::kBiasRelu};
  if (fused == Fused::kBiasResiduals) options.residual = options.residual2 = add;
  auto cpu = values(conv2d(tensor_of({s.B, s.H, s.W, s.I}, x), tensor_of({s.O, 3, 3, s.I}, weight),
                           has_bias(fused) ? tensor_of({s.O}, bias) : Tensor(), options));
  for (size_t i = 0; fused == Fused::kMask && i < cpu.size(); ++i)
    if (!(float(residual[i]) > 0)) cpu[i] = 0;
  under_schedules(schedules, [&] {
    DeviceArray<E> dx(x), dw(weight), db(bias), dr(residual), dy(expected.y.size());
    const bool residuals = fused == Fused::kBiasResiduals;
#if defined(FATHOM_KERNEL_HOST)
    gpu::host::reset_statistics();
#endif
    cuda::conv3x3_forward<E>(nullptr, {.x = dx,
                                       .weight = dw,
                                       .bias = has_bias(fused) ? (E*)db : nullptr,
                                       .residual = residuals ? (E*)dr : nullptr,
                                       .residual2 = residuals ? (E*)dr : nullptr,
                                       .y = dy,
                                       .mask = fused == Fused::kMask ? (E*)dr : nullptr,
                                       .B = s.B,
                                       .H = s.H,
                                       .W = s.W,
                                       .I = s.I,
                                       .O = s.O,
                                       .relu_input = fused == Fused::kReluInput,
                                       .relu = fused == Fused::kBiasRelu});
    CHECK(within(dy.get(), expected.y, expected.allowed));
    CHECK(within(dy.get(), cpu, twice(expected.allowed)));
#if defined(FATHOM_KERNEL_HOST)
    CHECK(gpu::host::statistics().ldmatrix_bank_conflicts == 0);
#endif
  });
}

}  // namespace

TEST_CASE("cuda conv3x3: matches its definition") {
  // One pixel, a row, ragged tiles of pixels and outputs, channels that are no multiple of a step.
  const Size size =
      GENERATE(Size{1, 1, 1, 16, 16}, Size{2, 5, 7, 16, 48}, Size{1, 1, 129, 32, 16},
               Size{1, 13, 11, 32, 64}, Size{1, 9, 15, 80, 80}, Size{3, 3, 2, 48, 32});
  check_conv3x3<bfloat16>(size, Fused::kNothing, size.B == 2 ? 1 : 0);
  check_conv3x3<float16>(size, Fused::kBias, 0);
}

TEST_CASE("cuda conv3x3: fuses bias, ReLUs, residuals and a mask") {
  const Size size{2, 6, 5, 32, 80};
  check_conv3x3<bfloat16>(size, Fused::kBias, 0);
  check_conv3x3<bfloat16>(size, Fused::kBiasRelu, 0);
  check_conv3x3<bfloat16>(size, Fused::kBiasResiduals, 0);
  check_conv3x3<bfloat16>(size, Fused::kReluInput, 0);
  check_conv3x3<float16>(size, Fused::kReluInput, 0);
  check_conv3x3<bfloat16>(size, Fused::kMask, 0);
}

TEST_CASE("cuda conv3x3: a NaN reaches its neighbours") {
  const Size s{1, 5, 6, 16, 16};
  auto x = normal<bfloat16>(s.H * s.W * s.I, 1);
  x[(2 * s.W + 3) * s.I + 7] = bfloat16(NAN);
  DeviceArray<bfloat16> dx(x), dw(normal<bfloat16>(s.O * 9 * s.I, 2)), dy(s.H * s.W * s.O);
  cuda::conv3x3_forward<bfloat16>(nullptr, {.x = dx,
                                            .weight = dw,
                                            .y = dy,
                                            .B = 1,
                                            .H = s.H,
                                            .W = s.W,
                                            .I = s.I,
                                            .O = s.O,
                                            .relu_input = true,
                                            .relu = true});
  const auto y = dy.get();
  for (int64_t h = 0; h < s.H; ++h)
    for (int64_t w = 0; w < s.W; ++w)
      for (int64_t o = 0; o < s.O; ++o)
        REQUIRE(std::isnan(float(y[(h * s.W + w) * s.O + o])) ==
                (std::abs(h - 2) <= 1 && std::abs(w - 3) <= 1));
}

TEST_CASE("cuda conv3x3: the flipped weight") {
  const int64_t O = 5, I = 3;
  const auto weight = normal<bfloat16>(O * 9 * I, 1);
  DeviceArray<bfloat16> dw(weight), flipped(weight.size());
  cuda::conv3x3_flip<bfloat16>(nullptr, dw, flipped, O, I);
  const auto f = flipped.get();
  for (int64_t o = 0; o < O; ++o)
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t i = 0; i < I; ++i)
        CHECK((f[(i * 9 + tap) * O + o].bits == weight[(o * 9 + 8 - tap) * I + i].bits));
}

TEST_CASE("cuda conv3x3: says which channels it takes") {
  DeviceArray<bfloat16> a(1024);
  CHECK_THROWS_WITH(
      cuda::conv3x3_forward<bfloat16>(
          nullptr, {.x = a, .weight = a, .y = a, .B = 1, .H = 1, .W = 1, .I = 16, .O = 8}),
      Catch::Contains("multiples of 16, not 16 in and 8 out"));
}

}  // namespace fathom
