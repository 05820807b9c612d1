#include "kernels/swiglu.h"

#include <cmath>

#include "tests/kernels/sweeps.h"

namespace fathom {

TEST_CASE("swiglu: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const Shape shape = GENERATE(Shape{2}, Shape{3, 34}, Shape{2, 5, 62}, Shape{37, 256});
  CAPTURE(backend, shape);
  const Tensor x = random_tensor(shape, options);
  const int64_t h = shape[shape.rank() - 1] / 2, rows = x.numel() / (2 * h);
  const std::vector<double> v = values(x);
  std::vector<double> expected;
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t c = 0; c < h; ++c) {
      const double gate = v[n * 2 * h + c], value = v[n * 2 * h + h + c];
      expected.push_back(gate / (1 + std::exp(-gate)) * value);
    }
  // exp within 2 ulp, a sum, a quotient, two products, and the final rounding.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  CHECK(close(swiglu(x), expected,
              {.absolute = dtype == DType::f16 ? 0x1p-25 : 0, .relative = 6 * e + epsilon(dtype)}));
  CHECK(same_bits(swiglu(strided_copy_of(x)), swiglu(x)));
}

TEST_CASE("swiglu: gradients match central differences") {
  const Shape shape = GENERATE(Shape{2}, Shape{3, 34}, Shape{2, 2, 38});
  CHECK(gradcheck([](const Inputs& in) { return swiglu(in[0]); },
                  {random_tensor(shape, {DType::f64})}));
}

TEST_CASE("swiglu: f32 gradients agree with f64") {
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const Tensor x = random_tensor({19, 70});
  const auto f = [](const Inputs& in) { return swiglu(in[0]); };
  const std::vector<Tensor> exact = output_and_grads(f, {x.to(DType::f64)});
  // Values up to about 4 * 4 * 4, some ten roundings.
  CHECK(close(output_and_grads(f, {x})[1], values(exact[1]), {.absolute = 64 * 1.2e-7}));
}

TEST_CASE("swiglu: threads do not change the bits") {
  const Inputs in{random_tensor({137, 256})};
  CHECK(same_bits_with_any_threads(
      [&] { return output_and_grads([](const Inputs& in) { return swiglu(in[0]); }, in); }));
}

TEST_CASE("swiglu: refuses an odd axis") {
  CHECK_THROWS_WITH(swiglu(full({2, 5}, 1)),
                    Catch::Contains("must be even") && Catch::Contains("[2, 5]"));
}

}  // namespace fathom
