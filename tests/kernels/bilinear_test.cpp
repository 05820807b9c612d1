#include "kernels/bilinear.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/sweeps.h"

namespace fathom {

// One axis in double: neighbour indices and the weight of the second one.
struct Neighbours {
  int64_t first, second;
  double t;
};
static Neighbours neighbours(int64_t i, int64_t inputs, int64_t outputs, bool align_corners) {
  const double source =
      align_corners ? (outputs == 1 ? 0 : double(i) * double(inputs - 1) / double(outputs - 1))
                    : std::max((double(i) + 0.5) * double(inputs) / double(outputs) - 0.5, 0.0);
  const int64_t first = std::min(int64_t(source), inputs - 1);
  return {first, std::min(first + 1, inputs - 1), source - double(first)};
}

static std::vector<double> reference(const Tensor& x, int64_t height, int64_t width, bool align) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const std::vector<double> v = values(x);
  std::vector<double> y;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < width; ++j)
        for (int64_t c = 0; c < C; ++c) {
          const Neighbours r = neighbours(i, H, height, align), s = neighbours(j, W, width, align);
          const auto at = [&](int64_t h, int64_t w) { return v[((b * H + h) * W + w) * C + c]; };
          const double above = (1 - s.t) * at(r.first, s.first) + s.t * at(r.first, s.second);
          const double below = (1 - s.t) * at(r.second, s.first) + s.t * at(r.second, s.second);
          y.push_back((1 - r.t) * above + r.t * below);
        }
  return y;
}

TEST_CASE("interpolate_bilinear: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const bool align = GENERATE(true, false);
  struct Case {
    Shape shape;
    int64_t height, width;
  };
  const auto [shape, height, width] =
      GENERATE(Case{{1, 1, 1, 1}, 3, 2}, Case{{2, 5, 7, 3}, 5, 7}, Case{{1, 19, 25, 17}, 37, 49},
               Case{{2, 9, 4, 33}, 4, 9}, Case{{1, 13, 11, 1}, 29, 31}, Case{{1, 6, 5, 64}, 1, 1},
               Case{{1, 4, 1, 2}, 7, 5});
  CAPTURE(backend, align, shape, height, width);
  const Tensor x = random_tensor(shape, backend.options);
  const Tensor y = interpolate_bilinear(x, height, width, align);
  CHECK(y.shape() == Shape{shape[0], height, width, shape[3]});
  // A float position below 32 is off by at most 2 ulp of 32, on two axes, times the difference of
  // two neighbours, below 8; then the sums and one rounding.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  CHECK(close(y, reference(x, height, width, align),
              {.absolute = 2 * 2 * 16 * 8 * e, .relative = epsilon(dtype)}));
  CHECK(same_bits(interpolate_bilinear(strided_copy_of(x), height, width, align), y));
}

TEST_CASE("interpolate_bilinear: the vectors of the specification") {
  const auto resize = [](const std::vector<double>& ramp, int64_t outputs, bool align, bool rows) {
    const int64_t n = int64_t(ramp.size());
    const Tensor x = from_values(rows ? Shape{1, n, 1, 1} : Shape{1, 1, n, 1}, ramp);
    return interpolate_bilinear(x, rows ? outputs : 1, rows ? 1 : outputs, align);
  };
  const bool rows = GENERATE(true, false);
  CHECK(close(resize({0, 1, 2, 3}, 7, true, rows), std::vector<double>{0, .5, 1, 1.5, 2, 2.5, 3},
              {}));
  // Five decimals are given.
  CHECK(close(resize({0, 1, 2, 3}, 7, false, rows),
              std::vector<double>{0, .35714, .92857, 1.5, 2.07143, 2.64286, 3},
              {.absolute = 5.1e-6}));
  std::vector<double> ramp(19), halves(37);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = double(i);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = double(i) / 2;
  CHECK(close(resize(ramp, 37, true, rows), halves, {}));
}

TEST_CASE("interpolate_bilinear: the same size is the identity, bit by bit") {
  const bool align = GENERATE(true, false);
  const TensorOptions options =
      GENERATE(from_range(test_options({DType::f64, DType::f32, DType::bf16, DType::f16})));
  CAPTURE(align, options);
  Tensor x = random_tensor({1, 37, 518, 1}, options);
  CHECK(same_bits(interpolate_bilinear(x, 37, 518, align), x));
  x = full({1, 2, 2, 1}, std::numeric_limits<double>::infinity(), options);
  CHECK(same_bits(interpolate_bilinear(x, 2, 2, align), x));
}

TEST_CASE("interpolate_bilinear: gradients match central differences") {
  const bool align = GENERATE(true, false);
  const int64_t height = GENERATE(1, 3, 11), width = GENERATE(2, 9);
  CAPTURE(align, height, width);
  CHECK(
      gradcheck([=](const Inputs& in) { return interpolate_bilinear(in[0], height, width, align); },
                {random_tensor({2, 5, 4, 3}, {DType::f64})}));
}

TEST_CASE("interpolate_bilinear: the gradient is the adjoint of the f32 map") {
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const bool align = GENERATE(true, false);
  const Tensor x = random_tensor({1, 19, 25, 5});
  const std::vector<Tensor> r = output_and_grads(
      [=](const Inputs& in) { return interpolate_bilinear(in[0], 37, 49, align); }, {x});
  // <A x, dy> = <x, A^T dy>
  const std::vector<double> y = values(r[0]), vx = values(x), dx = values(r[1]);
  const std::vector<double> dy = values(random_tensor(r[0].shape(), {}, 77));
  double left = 0, right = 0, magnitude = 0;
  for (size_t i = 0; i < y.size(); ++i) left += y[i] * dy[i], magnitude += std::fabs(y[i] * dy[i]);
  for (size_t i = 0; i < vx.size(); ++i) right += vx[i] * dx[i];
  CHECK(std::fabs(left - right) < 8 * 1.2e-7 * magnitude);  // about eight roundings a term
}

TEST_CASE("interpolate_bilinear: threads do not change the bits") {
  const Inputs in{random_tensor({2, 19, 25, 37})};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [](const Inputs& in) { return interpolate_bilinear(in[0], 37, 49, true); }, in);
  }));
}

TEST_CASE("interpolate_bilinear: says what is wrong") {
  CHECK_THROWS_WITH(interpolate_bilinear(full({3, 4, 5}, 1), 6, 7, true),
                    Catch::Contains("must be [B, H, W, C]") && Catch::Contains("[3, 4, 5]"));
  CHECK_THROWS_WITH(interpolate_bilinear(full({1, 3, 4, 5}, 1), 0, 7, true),
                    Catch::Contains("at least 1 x 1") && Catch::Contains("0 x 7"));
}

}  // namespace fathom
