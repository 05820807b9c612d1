#include "kernels/elementwise.h"

#include <cmath>
#include <limits>

#include "tests/kernels/sweeps.h"

namespace fathom {

TEST_CASE("elementwise: match their definitions") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const Shape shape = GENERATE(Shape{1}, Shape{3, 7}, Shape{2, 33, 31}, Shape{40009});
  CAPTURE(backend, shape);
  const Tensor a = random_tensor(shape, options), b = random_tensor(shape, options, 2);
  const std::vector<double> va = values(a), vb = values(b);
  const auto expect = [&](auto f) {
    std::vector<double> y(va.size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = f(va[i], vb[i]);
    return y;
  };
  // One operation and one rounding; bf16 and f16 sums are exact in float.
  const Tolerance one_rounding{.absolute = dtype == DType::f16 ? 0x1p-25 : 0,
                               .relative = epsilon(dtype)};
  CHECK(close(add(a, b), expect([](double x, double y) { return x + y; }), one_rounding));
  CHECK(close(sub(a, b), expect([](double x, double y) { return x - y; }), one_rounding));
  CHECK(close(mul(a, b), expect([](double x, double y) { return x * y; }), one_rounding));
  CHECK(close(scale(a, 0.375), expect([](double x, double) { return 0.375 * x; }), one_rounding));
  CHECK(close(relu(a), expect([](double x, double) { return x > 0 ? x : 0; }), {}));
  // exp within 2 ulp, a sum, a quotient, and the final rounding.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  CHECK(close(sigmoid(a), expect([](double x, double) { return 1 / (1 + std::exp(-x)); }),
              {.relative = 4 * e + epsilon(dtype)}));
}

TEST_CASE("elementwise: views give the bits of their copies") {
  const Tensor a = random_tensor({5, 7, 9}), b = random_tensor({5, 7, 9}, {}, 2);
  const Tensor va = strided_copy_of(a), vb = strided_copy_of(b);
  CHECK(same_bits(add(va, vb), add(a, b)));
  CHECK(same_bits(sub(va, b), sub(a, b)));
  CHECK(same_bits(mul(a, vb), mul(a, b)));
  CHECK(same_bits(scale(va, 3), scale(a, 3)));
  CHECK(same_bits(relu(va), relu(a)));
  CHECK(same_bits(sigmoid(va), sigmoid(a)));
}

TEST_CASE("elementwise: special values") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  CAPTURE(backend);
  const Tensor x = from_values({6}, {-inf, -200, 0, 200, inf, nan}, options);
  CHECK(close(sigmoid(x), std::vector<double>{0, 0, 0.5, 1, 1, nan}, {.absolute = 1e-37}));
  CHECK(close(relu(x), std::vector<double>{0, 0, 0, 200, inf, nan}, {}));
}

TEST_CASE("elementwise: f16 is converted like the reference type") {
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  CAPTURE(cpu::isa());
  std::vector<double> all;
  for (int bits = 0; bits < 0x7c00; ++bits)
    all.push_back(float(float16::from_bits(uint16_t(bits))));
  const Shape shape{int64_t(all.size())};
  const Tensor x = from_values(shape, all, {DType::f16});
  CHECK(close(scale(x, 1), all, {}));
  // Thirds need every kind of rounding, subnormal results included.
  std::vector<double> thirds;
  for (const double v : all) thirds.push_back(float(float16(float(v) * float(1. / 3))));
  CHECK(close(scale(x, 1. / 3), thirds, {}));
  std::vector<double> large;  // half of them overflow
  for (const double v : all) large.push_back(float(float16(float(v) * 2.001f)));
  CHECK(close(scale(x, 2.001f), large, {}));
}

TEST_CASE("elementwise: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  const Tensor a = random_tensor({3, 11}, f64), b = random_tensor({3, 11}, f64, 2);
  CHECK(gradcheck([](const Inputs& in) { return add(in[0], in[1]); }, {a.clone(), b.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return sub(in[0], in[1]); }, {a.clone(), b.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return mul(in[0], in[1]); }, {a.clone(), b.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return mul(in[0], in[0]); }, {a.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return scale(in[0], -1.5); }, {a.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return relu(in[0]); }, {a.clone()}));
  CHECK(gradcheck([](const Inputs& in) { return sigmoid(in[0]); }, {a.clone()}));
}

TEST_CASE("elementwise: only the inputs that need a gradient get one") {
  Tensor a = random_tensor({4}).set_requires_grad();
  const Tensor b = random_tensor({4}, {}, 2);
  backward(mul(a, b), full({4}, 1));
  CHECK(same_bits(a.grad(), b));
  CHECK_FALSE(b.grad().defined());
}

TEST_CASE("elementwise: threads do not change the bits") {
  const Inputs in{random_tensor({3, 40009}), random_tensor({3, 40009}, {}, 2)};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [](const Inputs& in) { return relu(sub(mul(in[0], sigmoid(in[1])), scale(in[1], 0.3))); },
        in);
  }));
}

TEST_CASE("elementwise: say what is wrong") {
  CHECK_THROWS_WITH(add(full({2, 3}, 1), full({3}, 1)),
                    Catch::Contains("add: shapes must agree") && Catch::Contains("[2, 3] and [3]"));
  CHECK_THROWS_WITH(mul(full({2}, 1), full({2}, 1, {DType::bf16})),
                    Catch::Contains("mul: inputs must share dtype"));
  CHECK_THROWS_WITH(relu(full({2}, 1, {DType::i64})), Catch::Contains("floating dtype"));
}

}  // namespace fathom
