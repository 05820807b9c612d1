#include "kernels/gelu.h"

#include <cmath>

#include "tests/kernels/sweeps.h"

namespace fathom {

static double phi_sum(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST_CASE("gelu: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  CAPTURE(backend);
  std::vector<double> grid;
  for (int i = -6000; i <= 6000; ++i) grid.push_back(i / 500.0);
  const Tensor x = from_values({int64_t(grid.size())}, grid, options);
  std::vector<double> expected = values(x), slope = expected;
  for (double& v : expected) v *= phi_sum(v);
  // In float, the tail is below 4e-8 absolute and |x| * 2 ulp relative; then one rounding. In
  // double Phi is 1 + erf, off by half an ulp of 1 where |x| < 8.3 and Phi rounds to 0 beyond.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  CHECK(
      close(gelu(x), expected,
            {.absolute = (dtype == DType::f64 ? 4.2 : 1) * e + (dtype == DType::f16 ? 0x1p-25 : 0),
             .relative = 2 * e + epsilon(dtype)}));

  for (double& v : slope)
    v = phi_sum(v) + v * std::exp(-v * v / 2) / std::sqrt(2 * std::acos(-1.0));
  Tensor leaf = x.detach().set_requires_grad();
  backward(gelu(leaf), full(x.shape(), 1, options));
  // Phi, and x * density: |x| density < 0.25, its exponent x^2 / 2 < 8 there: 8 half ulps and 2.
  CHECK(
      close(leaf.grad(), slope,
            {.absolute = 4 * e + (dtype == DType::f16 ? 0x1p-25 : 0), .relative = epsilon(dtype)}));
}

TEST_CASE("gelu: sizes and views") {
  const int64_t n = GENERATE(1, 7, 16, 17, 1000003);
  const Tensor x = random_tensor({n});
  std::vector<double> expected = values(x);
  for (double& v : expected) v *= phi_sum(v);
  CHECK(close(gelu(x), expected, {.absolute = 1.2e-7, .relative = 3.6e-7}));
  CHECK(same_bits(gelu(strided_copy_of(x)), gelu(x)));
}

TEST_CASE("gelu: gradients match central differences") {
  CHECK(gradcheck([](const Inputs& in) { return gelu(in[0]); },
                  {random_tensor({3, 29}, {DType::f64})}));
}

TEST_CASE("gelu: threads do not change the bits") {
  const Inputs in{random_tensor({1370, 97})};
  CHECK(same_bits_with_any_threads(
      [&] { return output_and_grads([](const Inputs& in) { return gelu(in[0]); }, in); }));
}

TEST_CASE("gelu: refuses integers") {
  CHECK_THROWS_WITH(gelu(full({2}, 1, {DType::i32})), Catch::Contains("floating dtype"));
}

}  // namespace fathom
