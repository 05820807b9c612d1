#include "kernels/cpu/conv.h"

#include "tests/kernels/cpu/matrices.h"

namespace fathom::cpu {

namespace {
struct Size {
  int64_t B, H, W, IC, OC;
};
const Size kSizes[] = {{1, 1, 1, 1, 1},     {1, 1, 7, 3, 5},    {1, 5, 1, 16, 33},
                       {2, 3, 15, 7, 16},   {1, 7, 13, 31, 7},  {3, 4, 31, 5, 47},
                       {1, 9, 37, 64, 32},  {1, 2, 300, 2, 1},  {1, 3, 29, 33, 17},
                       {1, 1, 14, 260, 18}, {1, 1, 150, 650, 3}};

int64_t clamped(int64_t i, int64_t n) { return std::min(std::max<int64_t>(i, 0), n - 1); }

/// The input as the convolution means it, in double and with plain indices.
template <class T>
struct Input {
  Matrix<T>& map;  // rows are pixels
  int64_t h, w, H, W;
  bool relu = false;
  Matrix<T>* mask = nullptr;

  double operator()(int64_t b, int64_t y, int64_t x, int64_t c) const {
    if (y < 0 || y >= H || x < 0 || x >= W) return 0;
    const auto at = [&](int64_t v, int64_t u) {
      return map((b * h + clamped(v, h)) * w + clamped(u, w), c);
    };
    double value;
    if (h == H && w == W) {
      value = at(y, x);
      if (mask && (*mask)((b * H + y) * W + x, c) <= 0) value = 0;
    } else {
      const double v = H > 1 ? double(y) * double(h - 1) / double(H - 1) : 0;
      const double u = W > 1 ? double(x) * double(w - 1) / double(W - 1) : 0;
      const int64_t y0 = int64_t(v), x0 = int64_t(u);
      const double dy = v - double(y0), dx = u - double(x0);
      value = (1 - dy) * ((1 - dx) * at(y0, x0) + dx * at(y0, x0 + 1)) +
              dy * ((1 - dx) * at(y0 + 1, x0) + dx * at(y0 + 1, x0 + 1));
    }
    return relu ? std::max(value, 0.0) : value;
  }
};

/// The sum of one output, and the sum of the magnitudes of its terms.
template <class T>
double convolve(const Input<T>& x, const Matrix<T>& weight, int64_t IC, int64_t b, int64_t y,
                int64_t column, int64_t oc, double& magnitude) {
  double sum = 0;
  magnitude = 0;
  for (int64_t ky = 0; ky < 3; ++ky)
    for (int64_t kx = 0; kx < 3; ++kx)
      for (int64_t ic = 0; ic < IC; ++ic) {
        const double term =
            x(b, y + ky - 1, column + kx - 1, ic) * weight(oc, (ky * 3 + kx) * IC + ic);
        sum += term;
        magnitude += std::abs(term);
      }
  return sum;
}

template <class T>
std::vector<T> packed(Matrix<T>& weight, int64_t IC, ConvUse use) {
  const int64_t OC = weight.rows;
  const bool flip = use == ConvUse::input_gradient;
  std::vector<T> result(size_t(flip ? packed_conv_size<T>(IC, OC) : packed_conv_size<T>(OC, IC)),
                        Matrix<T>::nan());
  pack_conv(weight.data(), OC, IC, use, result.data());
  return result;
}

/// Whether f32 goes through Winograd's transform, which other types never do.
template <class T>
std::vector<int> winograd_or_not() {
  return std::same_as<T, float> ? std::vector<int>{1, 0} : std::vector<int>{0};
}

/// Relative to the magnitudes: sqrt(n) roundings of the sum (see gemm_test.cpp), one more
/// rounding to bf16 for values that the hardware multiplies as bf16 after interpolation, and for
/// interpolated values the rounding of the coordinate, which grows with the size of the small map.
/// Winograd's transforms multiply a rounding by at most 8.3 along each axis: the largest row of
/// |A^T| (|G| 1 * |B^T| 1), divided by the three terms that it computes; errors of both axes have
/// random signs, so together it is the root of 8.3^2.
template <class T>
double sum_bound(int64_t terms, bool resized, int64_t extent, bool winograd = false) {
  const double sums =
      (2 * std::sqrt(double(terms)) + 4) * sum_rounding<T>() * (winograd ? 8.3 : 1.0);
  return resized ? sums + rounding<T>() + 8 * double(extent) * sum_rounding<T>() : sums;
}
}  // namespace

TEMPLATE_TEST_CASE("conv3x3: matches the double loop with every epilogue", "", float, double,
                   Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const bool winograd = GENERATE(from_range(winograd_or_not<T>())) == 1;
  const WinogradScope winograd_scope(winograd);
  for (const auto [B, H, W, IC, OC] : kSizes) {
    for (const bool full : {false, true}) {
      CAPTURE(name_of(isa), winograd, B, H, W, IC, OC, full);
      Matrix<T> x(B * H * W, IC, 0, 1), weight(OC, 9 * IC, 0, 2), bias(1, OC, 0, 3),
          mask(B * H * W, IC, 0, 4), residual(B * H * W, OC, 0, 5), residual2(B * H * W, OC, 0, 6),
          y(B * H * W, OC, 0, 7);
      const auto w = packed(weight, IC, ConvUse::forward);
      conv3x3<T>({.x = {.map = x.data(),
                        .height = H,
                        .width = W,
                        .channels = IC,
                        .relu = full,
                        .mask = full ? mask.data() : nullptr},
                  .weight = w.data(),
                  .y = y.data(),
                  .B = B,
                  .H = H,
                  .W = W,
                  .OC = OC,
                  .epilogue = {.bias = full ? bias.data() : nullptr,
                               .activation = full ? Activation::relu : Activation::none,
                               .residual = full ? residual.data() : nullptr,
                               .residual2 = full ? residual2.data() : nullptr},
                  .head = {}});
      const Input<T> input{x, H, W, H, W, full, full ? &mask : nullptr};
      double worst = 0;
      for (int64_t p = 0; p < B * H * W; ++p)
        for (int64_t oc = 0; oc < OC; ++oc) {
          double magnitude;
          double s = convolve(input, weight, IC, p / (H * W), p / W % H, p % W, oc, magnitude);
          double scale = 0;
          if (full) {
            magnitude += std::abs(bias(0, oc));
            s = std::max(s + bias(0, oc), 0.0) + residual(p, oc) + residual2(p, oc);
            scale = std::abs(s) + std::abs(residual(p, oc)) + std::abs(residual2(p, oc));
          }
          const double allowed = sum_bound<T>(9 * IC, false, 0, winograd) * magnitude +
                                 4 * sum_rounding<T>() * scale + rounding<T>() * std::abs(s) +
                                 1e-300;
          const double error = std::abs(y(p, oc) - s) / allowed;
          worst = std::isnan(error) ? 1e300 : std::max(worst, error);
        }
      CHECK(worst <= 1);
      CHECK(y.intact());
    }
  }
}

TEMPLATE_TEST_CASE("conv3x3: enlarges its input on the way", "", float, double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const bool winograd = GENERATE(from_range(winograd_or_not<T>())) == 1;
  const WinogradScope winograd_scope(winograd);
  const bool relu = GENERATE(false, true);
  struct Resize {
    int64_t h, w, H, W, C;
  };
  for (const auto [h, w, H, W, C] : {Resize{1, 1, 5, 3, 4},
                                     {2, 3, 4, 6, 31},
                                     {5, 4, 9, 7, 16},
                                     {7, 1, 3, 2, 5},
                                     {19, 37, 37, 74, 7},
                                     {6, 300, 11, 519, 33}}) {
    CAPTURE(name_of(isa), winograd, h, w, H, W, C, relu);
    const int64_t B = 2, OC = 17;
    Matrix<T> x(B * h * w, C, 0, 1), weight(OC, 9 * C, 0, 2), y(B * H * W, OC, 0, 3);
    const auto packed_weight = packed(weight, C, ConvUse::forward);
    conv3x3<T>({.x = {.map = x.data(), .height = h, .width = w, .channels = C, .relu = relu},
                .weight = packed_weight.data(),
                .y = y.data(),
                .B = B,
                .H = H,
                .W = W,
                .OC = OC,
                .epilogue = {},
                .head = {}});
    const Input<T> input{x, h, w, H, W, relu};
    // An interpolated value has the size of the values around it: bound by those of all inputs.
    double largest = 0;
    for (int64_t p = 0; p < x.rows; ++p)
      for (int64_t c = 0; c < C; ++c) largest = std::max(largest, std::abs(x(p, c)));
    double worst = 0;
    for (int64_t p = 0; p < B * H * W; ++p)
      for (int64_t oc = 0; oc < OC; ++oc) {
        double magnitude, weights = 0;
        const double s = convolve(input, weight, C, p / (H * W), p / W % H, p % W, oc, magnitude);
        for (int64_t k = 0; k < 9 * C; ++k) weights += std::abs(weight(oc, k));
        const double allowed = sum_bound<T>(9 * C, true, std::max(h, w), winograd) *
                                   std::max(magnitude, largest * weights) +
                               rounding<T>() * std::abs(s);
        const double error = std::abs(y(p, oc) - s) / allowed;
        worst = std::isnan(error) ? 1e300 : std::max(worst, error);
      }
    CHECK(worst <= 1);
    CHECK(y.intact());
  }
}

TEMPLATE_TEST_CASE("conv3x3: a head gives one value a pixel", "", float, double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const bool winograd = GENERATE(from_range(winograd_or_not<T>())) == 1;
  const WinogradScope winograd_scope(winograd);
  const HeadActivation activation = GENERATE(HeadActivation::relu, HeadActivation::sigmoid);
  for (const int64_t OC : {1, 7, 32, 47}) {
    CAPTURE(name_of(isa), winograd, int(activation), OC);
    const int64_t B = 2, H = 5, W = 23, C = 17;
    Matrix<T> x(B * H * W, C, 0, 1), weight(OC, 9 * C, 0, 2), bias(1, OC, 0, 3),
        head(1, OC, 0, 4, 1 / std::sqrt(9.0 * C * OC)), head_bias(1, 1, 0, 5),
        y(B * H * W, 1, 0, 6);
    const auto packed_weight = packed(weight, C, ConvUse::forward);
    conv3x3<T>({.x = {.map = x.data(), .height = H, .width = W, .channels = C},
                .weight = packed_weight.data(),
                .y = nullptr,
                .B = B,
                .H = H,
                .W = W,
                .OC = OC,
                .epilogue = {.bias = bias.data(), .activation = Activation::relu},
                .head = {.weight = head.data(),
                         .bias = head_bias.data(),
                         .activation = activation,
                         .scale = 20,
                         .y = y.data()}});
    const Input<T> input{x, H, W, H, W};
    double worst = 0;
    for (int64_t p = 0; p < B * H * W; ++p) {
      double total = head_bias(0, 0), bound = 0, size = std::abs(total);
      for (int64_t oc = 0; oc < OC; ++oc) {
        double magnitude;
        double s = convolve(input, weight, C, p / (H * W), p / W % H, p % W, oc, magnitude);
        s = std::max(s + bias(0, oc), 0.0);
        magnitude += std::abs(bias(0, oc));
        total += s * head(0, oc);
        bound += sum_bound<T>(9 * C, false, 0, winograd) * magnitude * std::abs(head(0, oc));
        size += std::abs(s * head(0, oc));
      }
      bound += (2 * std::sqrt(double(OC)) + 4) * sum_rounding<T>() * size;
      double expected;
      if (activation == HeadActivation::relu) {
        expected = 20 * std::max(total, 0.0);
        bound *= 20;
      } else {
        expected = 20 / (1 + std::exp(-total));
        bound = 20 * (bound / 4 + 4 * sum_rounding<T>());  // |sigmoid'| <= 1/4
      }
      const double error =
          std::abs(y(p, 0) - expected) / (bound + 2 * rounding<T>() * std::abs(expected) + 1e-300);
      worst = std::isnan(error) ? 1e300 : std::max(worst, error);
    }
    CHECK(worst <= 1);
    CHECK(y.intact());
  }
}

TEMPLATE_TEST_CASE("conv3x3: packed for the input gradient it is the adjoint", "", float, double,
                   Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const bool winograd = GENERATE(from_range(winograd_or_not<T>())) == 1;
  const WinogradScope winograd_scope(winograd);
  for (const auto [B, H, W, IC, OC] : kSizes) {
    CAPTURE(name_of(isa), winograd, B, H, W, IC, OC);
    Matrix<T> dy(B * H * W, OC, 0, 1), weight(OC, 9 * IC, 0, 2), dx(B * H * W, IC, 0, 3);
    const auto w = packed(weight, IC, ConvUse::input_gradient);
    conv3x3<T>({.x = {.map = dy.data(), .height = H, .width = W, .channels = OC},
                .weight = w.data(),
                .y = dx.data(),
                .B = B,
                .H = H,
                .W = W,
                .OC = IC,
                .epilogue = {},
                .head = {}});
    double worst = 0;
    for (int64_t p = 0; p < B * H * W; ++p)
      for (int64_t ic = 0; ic < IC; ++ic) {
        double sum = 0, magnitude = 0;
        for (int64_t ky = 0; ky < 3; ++ky)
          for (int64_t kx = 0; kx < 3; ++kx) {
            // x[p] went with tap (ky, kx) into the output at p - (ky - 1, kx - 1).
            const int64_t y = p / W % H - (ky - 1), x = p % W - (kx - 1);
            if (y < 0 || y >= H || x < 0 || x >= W) continue;
            for (int64_t oc = 0; oc < OC; ++oc) {
              const double term =
                  dy((p / (H * W) * H + y) * W + x, oc) * weight(oc, (ky * 3 + kx) * IC + ic);
              sum += term;
              magnitude += std::abs(term);
            }
          }
        const double allowed = sum_bound<T>(9 * OC, false, 0, winograd) * magnitude +
                               rounding<T>() * std::abs(sum) + 1e-300;
        worst = std::max(worst, std::abs(dx(p, ic) - sum) / allowed);
      }
    CHECK(worst <= 1);
    CHECK(dx.intact());
  }
}

TEMPLATE_TEST_CASE("conv3x3_weight_gradient: matches the double loop", "", float, double, Bf16) {
  using T = TestType;
  const Isa isa = GENERATE(from_range(test_isas()));
  const IsaScope scope(isa);
  const bool winograd = GENERATE(from_range(winograd_or_not<T>())) == 1;
  const WinogradScope winograd_scope(winograd);
  const Size sizes[] = {{1, 1, 1, 1, 1},    {1, 1, 7, 3, 5},   {2, 5, 1, 16, 33},
                        {2, 19, 15, 7, 16}, {1, 7, 13, 31, 7}, {3, 50, 31, 5, 9},
                        {1, 2, 600, 2, 1},  {1, 3, 29, 70, 75}};
  for (const auto [B, H, W, IC, OC] : sizes) {
    for (const bool masked : {false, true}) {
      CAPTURE(name_of(isa), winograd, B, H, W, IC, OC, masked);
      Matrix<T> x(B * H * W, IC, 0, 1), dy(B * H * W, OC, 0, 2), mask(B * H * W, OC, 0, 3);
      Matrix<Sum<T>> dweight(OC, 9 * IC, 0, 4);
      conv3x3_weight_gradient<T>(
          {.x = {.map = x.data(), .height = H, .width = W, .channels = IC, .relu = masked},
           .dy = dy.data(),
           .dy_mask = masked ? mask.data() : nullptr,
           .B = B,
           .H = H,
           .W = W,
           .OC = OC,
           .dweight = dweight.data()});
      const Input<T> input{x, H, W, H, W, masked};
      double worst = 0;
      for (int64_t oc = 0; oc < OC; ++oc)
        for (int64_t ic = 0; ic < IC; ++ic) {
          double sum[9] = {}, magnitude[9] = {};
          for (int64_t p = 0; p < B * H * W; ++p) {
            if (masked && mask(p, oc) <= 0) continue;
            for (int tap = 0; tap < 9; ++tap) {
              const double term =
                  dy(p, oc) * input(p / (H * W), p / W % H + tap / 3 - 1, p % W + tap % 3 - 1, ic);
              sum[tap] += term;
              magnitude[tap] += std::abs(term);
            }
          }
          // Winograd's products hold all pixels of a tile, also those that do not meet.
          double most = 0, largest = 0;
          for (int64_t p = 0; p < B * H * W; ++p) {
            if (!masked || mask(p, oc) > 0) most += std::abs(dy(p, oc));
            largest = std::max(largest, std::abs(input(p / (H * W), p / W % H, p % W, ic)));
          }
          most *= largest;
          for (int tap = 0; tap < 9; ++tap) {
            const double allowed =
                sum_bound<T>(B * H * W, false, 0, winograd) * (winograd ? most : magnitude[tap]) +
                1e-300;
            const double error = std::abs(dweight(oc, tap * IC + ic) - sum[tap]) / allowed;
            worst = std::isnan(error) ? 1e300 : std::max(worst, error);
          }
        }
      CHECK(worst <= 1);
      CHECK(dweight.intact());
    }
  }
}

TEMPLATE_TEST_CASE("conv3x3: equal bits for 1, 2 and 3 threads", "", float, double, Bf16) {
  using T = TestType;
  const WinogradScope winograd_scope(GENERATE(from_range(winograd_or_not<T>())) == 1);
  const int64_t B = 2, H = 61, W = 67, IC = 33, OC = 31;
  Matrix<T> x(B * H * W, IC, 0, 1), dy(B * H * W, OC, 0, 2), weight(OC, 9 * IC, 0, 3),
      y(B * H * W, OC, 0, 4);
  Matrix<Sum<T>> dweight(OC, 9 * IC, 0, 5);
  const auto w = packed(weight, IC, ConvUse::forward);
  std::vector<T> first;
  std::vector<Sum<T>> first_gradient;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    const ConvInput<T> input{.map = x.data(), .height = H, .width = W, .channels = IC};
    conv3x3<T>({.x = input,
                .weight = w.data(),
                .y = y.data(),
                .B = B,
                .H = H,
                .W = W,
                .OC = OC,
                .epilogue = {},
                .head = {}});
    conv3x3_weight_gradient<T>({.x = input,
                                .dy = dy.data(),
                                .dy_mask = nullptr,
                                .B = B,
                                .H = H,
                                .W = W,
                                .OC = OC,
                                .dweight = dweight.data()});
    if (threads == 1) {
      first = y.storage;
      first_gradient = dweight.storage;
    }
    CHECK(same_bits(first, y.storage));
    CHECK(same_bits(first_gradient, dweight.storage));
  }
}

}  // namespace fathom::cpu
