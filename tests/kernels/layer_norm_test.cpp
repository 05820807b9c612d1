#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/elementwise.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

static std::vector<double> reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     double eps) {
  const int64_t C = weight.numel(), N = x.numel() / C;
  std::vector<double> y = values(x);
  const std::vector<double> w = values(weight), b = values(bias);
  for (int64_t n = 0; n < N; ++n) {
    double* row = y.data() + n * C;
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) mean += row[c] / double(C);
    for (int64_t c = 0; c < C; ++c) variance += (row[c] - mean) * (row[c] - mean) / double(C);
    for (int64_t c = 0; c < C; ++c)
      row[c] = (row[c] - mean) / std::sqrt(variance + eps) * w[c] + b[c];
  }
  return y;
}

TEST_CASE("layer_norm: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const Shape shape = GENERATE(Shape{1}, Shape{3, 7}, Shape{2, 35, 65}, Shape{19, 384});
  CAPTURE(backend, shape);
  const DType dtype = backend.options.dtype;
  const int64_t C = shape[shape.rank() - 1];
  const Tensor x = random_tensor(shape, backend.options);
  const Tensor weight = random_tensor({C}, backend.options, 2);
  const Tensor bias = random_tensor({C}, backend.options, 3);
  // In the type to compute in: sums of C terms in 4 or more lanes, a root, a quotient, three
  // products; normalised values times weights stay below 16. Then one rounding.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  CHECK(close(layer_norm(x, weight, bias), reference(x, weight, bias, 1e-6),
              {.absolute = 16 * 8 * e, .relative = epsilon(dtype)}));
  CHECK(same_bits(layer_norm(strided_copy_of(x), strided_copy_of(weight), strided_copy_of(bias)),
                  layer_norm(x, weight, bias)));
}

TEST_CASE("layer_norm: a large common offset does not swallow the variance") {
  const Backend backend = GENERATE(from_range(test_backends({DType::f32})));
  const cpu::IsaScope isa(backend.isa);
  CAPTURE(backend);
  std::vector<double> row(384);
  for (size_t c = 0; c < row.size(); ++c) row[c] = 4096 + double(c % 5);  // exact in f32
  const Tensor x = from_values({1, 384}, row, backend.options);
  const Tensor one = full({384}, 1, backend.options), zero = zeros({384}, backend.options);
  // The mean is rounded to 2^-12 of a unit; E[x^2] - E[x]^2 would lose everything.
  CHECK(close(layer_norm(x, one, zero), reference(x, one, zero, 1e-6), {.absolute = 0x1p-10}));
}

TEST_CASE("layer_norm: eps counts") {
  const Tensor x = from_values({1, 2}, {-1e-3, 1e-3}, {DType::f64});
  const Tensor one = full({2}, 1, {DType::f64}), zero = zeros({2}, {DType::f64});
  const double expected = 1e-3 / std::sqrt(1e-6 + 1e-6);
  CHECK(close(layer_norm(x, one, zero), std::vector<double>{-expected, expected},
              {.relative = 1e-14}));
  CHECK(close(layer_norm(x, one, zero, 0), std::vector<double>{-1, 1}, {.relative = 1e-14}));
}

TEST_CASE("layer_norm: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  const Shape shape = GENERATE(Shape{3, 7}, Shape{2, 2, 33}, Shape{67, 5});
  const int64_t C = shape[shape.rank() - 1];
  CHECK(gradcheck(
      [](const Inputs& in) { return layer_norm(in[0], in[1], in[2]); },
      {random_tensor(shape, f64), random_tensor({C}, f64, 2), random_tensor({C}, f64, 3)}));
}

TEST_CASE("layer_norm: gradients in every type agree with f64") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  CAPTURE(backend);
  const auto f = [](const Inputs& in) { return layer_norm(in[0], in[1], in[2]); };
  const Inputs in{random_tensor({71, 83}, options), random_tensor({83}, options, 2),
                  random_tensor({83}, options, 3)};
  Inputs exact_in;
  for (const Tensor& t : in) exact_in.push_back(t.to(kCpu).to(DType::f64));
  const std::vector<Tensor> actual = output_and_grads(f, in), exact = output_and_grads(f, exact_in);
  // dy is drawn in f64 and rounded to the dtype: its error of epsilon / 2 counts like the
  // result's; sums of 71 products of order 1 to 10 for the weights.
  const double e = epsilon(dtype);
  CHECK(close(actual[1], values(exact[1]), {.absolute = 32 * e, .relative = 2 * e}));
  CHECK(close(actual[2], values(exact[2]), {.absolute = 32 * e, .relative = 2 * e}));
  CHECK(close(actual[3], values(exact[3]), {.absolute = 32 * e, .relative = 2 * e}));
}

TEST_CASE("layer_norm: skips the first rows of every image") {
  const Backend backend = GENERATE(from_range(test_backends({DType::f32, DType::bf16})));
  const cpu::IsaScope isa(backend.isa);
  const int64_t C = GENERATE(7, 40);
  CAPTURE(backend, C);
  const Inputs in{random_tensor({3, 5, C}, backend.options), random_tensor({C}, backend.options, 2),
                  random_tensor({C}, backend.options, 3)};
  const auto skipping = [](const Inputs& in) { return layer_norm(in[0], in[1], in[2], 1e-6, 2); };
  const auto narrowed = [](const Inputs& in) {
    return layer_norm(in[0].narrow(1, 2, 3), in[1], in[2]);
  };
  const auto actual = output_and_grads(skipping, in), expected = output_and_grads(narrowed, in);
  CHECK(actual[0].shape() == Shape{3, 3, C});
  // The same arithmetic on the same rows; sums over rows in the same order.
  for (size_t i = 0; i < actual.size(); ++i) CHECK(same_bits(actual[i], expected[i]));
}

// What a block does to its residual stream x: y = x + norm(x), and other uses of x after that.
TEST_CASE("layer_norm: adds the gradient of the stream it reads") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const int64_t skip = GENERATE(0, 2), C = GENERATE(7, 40);
  CAPTURE(backend, skip, C);
  const auto f = [&](const Inputs& in) {
    const Tensor x = scale(in[0], 0.5);  // not a leaf; exact
    const Tensor y = layer_norm(x, in[1], in[2], 1e-6, skip);
    return add(x.narrow(1, skip, 5 - skip).contiguous(), y);
  };
  const Inputs in{random_tensor({3, 5, C}, backend.options), random_tensor({C}, backend.options, 2),
                  random_tensor({C}, backend.options, 3)};
  Inputs exact_in;
  for (const Tensor& t : in) exact_in.push_back(t.to(kCpu).to(DType::f64));
  const std::vector<Tensor> actual = output_and_grads(f, in), exact = output_and_grads(f, exact_in);
  // As above, for gradients in f32 with sums of up to 15 rows and values of order 1 to 10.
  const double e = epsilon(dtype);
  for (size_t i = 1; i < actual.size(); ++i)
    CHECK(close(actual[i], values(exact[i]), {.absolute = 32 * e, .relative = 2 * e}));
}

TEST_CASE("layer_norm: threads do not change the bits") {
  const Inputs in{random_tensor({1370, 67}), random_tensor({67}, {}, 2),
                  random_tensor({67}, {}, 3)};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([](const Inputs& in) { return layer_norm(in[0], in[1], in[2]); }, in);
  }));
}

TEST_CASE("layer_norm: says what is wrong") {
  CHECK_THROWS_WITH(layer_norm(full({2, 384}, 1), full({768}, 1), full({384}, 1)),
                    Catch::Contains("must be [384]") && Catch::Contains("[768] and [384]"));
  CHECK_THROWS_WITH(layer_norm(full({2, 3}, 1), full({3}, 1, {DType::bf16}), full({3}, 1)),
                    Catch::Contains("share dtype"));
  for (const int64_t skip : {-1, 3})
    CHECK_THROWS_WITH(
        layer_norm(full({2, 3, 4}, 1), full({4}, 1), full({4}, 1), 1e-6, skip),
        Catch::Contains("the first " + std::to_string(skip) + " rows of every image"));
  CHECK_THROWS_WITH(layer_norm(full({3, 4}, 1), full({4}, 1), full({4}, 1), 1e-6, 1),
                    Catch::Contains("must be [B, T, C]"));
}

}  // namespace fathom
