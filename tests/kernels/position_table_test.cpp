#include "kernels/position_table.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/sweeps.h"

namespace fathom {

// A row of the class token, then a 37 x 37 grid that grows by 1 along one axis.
static Tensor ramp_table(bool vertical) {
  std::vector<double> v{-5};
  for (int y = 0; y < 37; ++y)
    for (int x = 0; x < 37; ++x) v.push_back(vertical ? y : x);
  return from_values({1370, 1}, v);
}

// The first and last four values along the axis that carries the ramp.
static std::vector<double> ends(const Tensor& y, int64_t ph, int64_t pw, bool vertical) {
  const std::vector<double> v = values(y);
  std::vector<double> line;
  const int64_t n = vertical ? ph : pw;
  for (int64_t i = 0; i < n; ++i) line.push_back(v[1 + (vertical ? i * pw : i)]);
  std::vector<double> result(line.begin(), line.begin() + 4);
  result.insert(result.end(), line.end() - 4, line.end());
  return result;
}

TEST_CASE("interpolate_positions: the vectors of the specification") {
  const bool vertical = GENERATE(true, false);
  const Tensor table = ramp_table(vertical);
  const int64_t ph = vertical ? 49 : 37, pw = vertical ? 37 : 49;
  CAPTURE(vertical);
  // Five decimals are given. In float, each of four weights an axis is off by two roundings or so:
  // on two axes that is 16 * 37 * 2^-24 (PyTorch itself moved by 1.5e-5 between versions).
  const Tolerance tolerance{.absolute = 5e-6 + 16 * 37 * 0x1p-24};
  const Tensor offset = interpolate_positions(table, ph, pw);
  CHECK(close(from_values({8}, ends(offset, ph, pw, vertical)),
              std::vector<double>{-0.07104, 0.53537, 1.41137, 2.18046, 33.73905, 34.53061, 35.38287,
                                  36.03255},
              tolerance));
  const Tensor size = interpolate_positions(table, ph, pw, PositionRule::size);
  CHECK(close(from_values({8}, ends(size, ph, pw, vertical)),
              std::vector<double>{-0.07072, 0.53779, 1.4144, 2.18659, 33.81341, 34.58559, 35.4622,
                                  36.07072},
              tolerance));
  CHECK(values(offset)[0] == -5);

  // The 37 -> 37 axis of a grid that is not square is no identity.
  const Tensor across = interpolate_positions(ramp_table(!vertical), ph, pw);
  CHECK(close(from_values({8}, ends(across, ph, pw, !vertical)),
              std::vector<double>{-0.00101, 0.99395, 1.98996, 2.98598, 32.87604, 33.87269, 34.86933,
                                  35.92596},
              tolerance));
}

TEST_CASE("interpolate_positions: the stored grid is used as it is") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const PositionRule rule =
      GENERATE(PositionRule::scale_plus_offset, PositionRule::size, PositionRule::antialias);
  const Tensor table = random_tensor({1370, 3}, {dtype});
  CHECK(same_bits(interpolate_positions(table, 37, 37, rule), table));
  // As many patches, but another shape.
  CHECK(interpolate_positions(table, 1, 1369, rule).shape() == Shape{1370, 3});
  CHECK_FALSE(same_bits(interpolate_positions(table, 1, 1369, rule), table));
}

// Weights in double: w(d) for |d| < 2, then all that PyTorch's forms have in common.
static double keys(double d, double a) {
  d = std::fabs(d);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  if (d < 2) return a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a;
  return 0;
}

// One axis as a dense matrix [outputs][inputs].
static std::vector<std::vector<double>> axis(int64_t inputs, int64_t outputs, PositionRule rule) {
  const double step = rule == PositionRule::scale_plus_offset
                          ? double(inputs) / (double(outputs) + 0.1)
                          : double(inputs) / double(outputs);
  std::vector<std::vector<double>> m(outputs, std::vector<double>(inputs));
  for (int64_t i = 0; i < outputs; ++i) {
    const double source = step * (double(i) + 0.5) - 0.5;
    if (rule != PositionRule::antialias) {
      for (int64_t j = -3; j < inputs + 3; ++j)
        m[i][std::clamp<int64_t>(j, 0, inputs - 1)] += keys(source - double(j), -0.75);
      continue;
    }
    double total = 0;
    for (int64_t j = 0; j < inputs; ++j)
      total += m[i][j] = keys((source - double(j)) / std::max(step, 1.0), -0.5);
    for (double& w : m[i]) w /= total;
  }
  return m;
}

TEST_CASE("interpolate_positions: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const PositionRule rule =
      GENERATE(PositionRule::scale_plus_offset, PositionRule::size, PositionRule::antialias);
  struct Case {
    int64_t side, ph, pw, D;
  };
  const auto [side, ph, pw, D] = GENERATE(Case{37, 28, 37, 3}, Case{37, 5, 7, 17},
                                          Case{37, 49, 1, 2}, Case{4, 9, 11, 33}, Case{1, 2, 3, 1});
  CAPTURE(backend, int(rule), side, ph, pw, D);
  const Tensor table = random_tensor({1 + side * side, D}, options);
  const std::vector<double> v = values(table);
  const auto rows = axis(side, ph, rule), columns = axis(side, pw, rule);
  std::vector<double> expected(v.begin(), v.begin() + D);
  for (int64_t y = 0; y < ph; ++y)
    for (int64_t x = 0; x < pw; ++x)
      for (int64_t d = 0; d < D; ++d) {
        double s = 0;
        for (int64_t i = 0; i < side; ++i)
          for (int64_t j = 0; j < side; ++j)
            s += rows[y][i] * columns[x][j] * v[(1 + i * side + j) * D + d];
        expected.push_back(s);
      }
  // Positions up to 37 in float: 37 * 2^-23 each way, times a slope below 2 a weight, values up to
  // 4, eight weights; the dtype's rounding at the end.
  CHECK(close(interpolate_positions(table, ph, pw, rule), expected,
              {.absolute = 2 * 37 * 0x1p-23 * 2 * 4, .relative = epsilon(dtype)}));
  CHECK(same_bits(interpolate_positions(strided_copy_of(table), ph, pw, rule),
                  interpolate_positions(table, ph, pw, rule)));
}

TEST_CASE("interpolate_positions: gradients match central differences") {
  const PositionRule rule =
      GENERATE(PositionRule::scale_plus_offset, PositionRule::size, PositionRule::antialias);
  const auto f = [rule](const Inputs& in) { return interpolate_positions(in[0], 7, 3, rule); };
  CHECK(gradcheck(f, {random_tensor({26, 5}, {DType::f64})}));
  const auto same = [rule](const Inputs& in) { return interpolate_positions(in[0], 5, 5, rule); };
  CHECK(gradcheck([&](const Inputs& in) { return same(in).clone(); },
                  {random_tensor({26, 2}, {DType::f64})}));
}

TEST_CASE("interpolate_positions: threads do not change the bits") {
  const Inputs in{random_tensor({1370, 19})};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([](const Inputs& in) { return interpolate_positions(in[0], 28, 50); },
                            in);
  }));
}

TEST_CASE("interpolate_positions: says what is wrong") {
  CHECK_THROWS_WITH(interpolate_positions(full({1369, 4}, 1), 5, 5),
                    Catch::Contains("one row more than a square") && Catch::Contains("[1369, 4]"));
  CHECK_THROWS_WITH(interpolate_positions(full({4}, 1), 5, 5), Catch::Contains("[1 + M * M, D]"));
  CHECK_THROWS_WITH(interpolate_positions(full({1370, 4}, 1), 0, 5),
                    Catch::Contains("at least 1 x 1") && Catch::Contains("0 x 5"));
}

}  // namespace fathom
