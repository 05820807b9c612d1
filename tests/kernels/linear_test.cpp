#include "kernels/linear.h"

#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/gelu.h"
#include "kernels/layer_scale.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

// x W^T + bias in plain loops; bias may be undefined.
static std::vector<double> product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const int64_t N = weight.dim(0), K = weight.dim(1), M = x.numel() / K;
  const std::vector<double> a = values(x), w = values(weight);
  const std::vector<double> b = bias.defined() ? values(bias) : std::vector<double>(size_t(N), 0.0);
  std::vector<double> y;
  for (int64_t m = 0; m < M; ++m)
    for (int64_t n = 0; n < N; ++n) {
      double sum = b[size_t(n)];
      for (int64_t k = 0; k < K; ++k) sum += a[size_t(m * K + k)] * w[size_t(n * K + k)];
      y.push_back(sum);
    }
  return y;
}

// Sums of K products of normal values stay below 4 sqrt(K). Each of the K additions errs by at most
// epsilon / 2 of that in a random direction: 4 sqrt(K) * sqrt(K) * epsilon / 2, and as much again
// for the largest of many. Then one rounding to the dtype.
static Tolerance sum_of_products(int64_t K, DType dtype, double factor = 1) {
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  return {.absolute = factor * (4 * double(K) + 4) * e, .relative = epsilon(dtype)};
}

// The sizes of one call: x is `rows` and K, so that rows may have any rank.
struct Size {
  Shape rows;
  int64_t K, N;

  Tensor x(TensorOptions options) const {
    Shape shape = rows;
    shape.push_back(K);
    return random_tensor(shape, options);
  }
  Tensor weight(TensorOptions options) const { return random_tensor({N, K}, options, 2); }
  Tensor row(TensorOptions options, uint64_t seed) const {
    return random_tensor({N}, options, seed);
  }
  Tensor residual(TensorOptions options) const {
    Shape shape = rows;
    shape.push_back(N);
    return random_tensor(shape, options, 5);
  }
};

static const std::vector<Size> kSizes{{{}, 1, 1}, {{3}, 7, 5}, {{2, 5}, 65, 33}, {{19}, 384, 17}};
static std::vector<Backend> all_backends() {
  return test_backends({DType::f64, DType::f32, DType::bf16, DType::f16});
}

TEST_CASE("linear: matches its definition") {
  const Backend backend = GENERATE(from_range(all_backends()));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const Size size = GENERATE(from_range(kSizes));
  CAPTURE(backend, size.K, size.N);
  const Tensor x = size.x(options), weight = size.weight(options), bias = size.row(options, 3);
  const Tensor y = linear(x, weight, bias);
  CHECK(y.shape() == size.residual(options).shape());
  CHECK(close(y, product(x, weight, bias), sum_of_products(size.K, options.dtype)));
  CHECK(close(linear(x, weight), product(x, weight, {}), sum_of_products(size.K, options.dtype)));
  CHECK(same_bits(linear(strided_copy_of(x), strided_copy_of(weight), strided_copy_of(bias)), y));
}

TEST_CASE("linear_gelu: is the GELU of the product") {
  const Backend backend = GENERATE(from_range(all_backends()));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const Size size = GENERATE(from_range(kSizes));
  CAPTURE(backend, size.K, size.N);
  const Tensor x = size.x(options), weight = size.weight(options), bias = size.row(options, 3);
  // |gelu'| < 1.13, and gelu() itself: see its test. The sums are not rounded in between.
  Tolerance tolerance = sum_of_products(size.K, options.dtype, 1.13);
  tolerance.absolute += 5 * epsilon(options.dtype == DType::f64 ? DType::f64 : DType::f32);
  tolerance.relative += 2 * epsilon(options.dtype == DType::f64 ? DType::f64 : DType::f32);
  // On a CUDA device they are, sums below 4 sqrt(K) + 4, and gelu() is a pass of its own.
  if (backend.options.device != kCpu)
    tolerance.absolute += 1.13 * (2 * std::sqrt(double(size.K)) + 2) * epsilon(options.dtype);
  const auto activated = [](std::vector<double> sums) {
    for (double& s : sums) s *= 0.5 * std::erfc(-s / std::sqrt(2.0));
    return sums;
  };
  const Tensor y = linear_gelu(x, weight, bias);
  CHECK(close(y, activated(product(x, weight, bias)), tolerance));
  CHECK(close(linear_gelu(x, weight), activated(product(x, weight, {})), tolerance));
  CHECK(same_bits(linear_gelu(strided_copy_of(x), strided_copy_of(weight), strided_copy_of(bias)),
                  y));
  // Keeping the sums for a gradient changes nothing.
  CHECK(same_bits(linear_gelu(x.detach().set_requires_grad(), weight, bias), y));
}

TEST_CASE("linear_residual: is residual + gamma * product") {
  const Backend backend = GENERATE(from_range(all_backends()));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const Size size = GENERATE(from_range(kSizes));
  const bool has_bias = GENERATE(true, false), has_gamma = GENERATE(true, false);
  CAPTURE(backend, size.K, size.N, has_bias, has_gamma);
  const Tensor x = size.x(options), weight = size.weight(options),
               residual = size.residual(options);
  const Tensor bias = has_bias ? size.row(options, 3) : Tensor();
  const Tensor gamma = has_gamma ? size.row(options, 4) : Tensor();
  std::vector<double> expected = product(x, weight, bias);
  const std::vector<double> r = values(residual);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = r[i] + (has_gamma ? values(gamma)[i % size_t(size.N)] : 1) * expected[i];
  // |gamma| < 4 times the error of the sums; the product and the last addition are two more
  // roundings, counted as K grows by 2.
  Tolerance tolerance = sum_of_products(size.K + 2, options.dtype, has_gamma ? 4 : 1);
  // A CUDA device rounds gamma W and gamma b to the dtype before the product: K + 1 errors of
  // epsilon / 2 in random directions, 4 sqrt(K + 1) of them for the largest of many, times gamma.
  if (has_gamma && options.device != kCpu)
    tolerance.absolute += 4 * 2 * std::sqrt(double(size.K) + 1) * epsilon(options.dtype);
  const Tensor y = linear_residual(x, weight, bias, gamma, residual);
  CHECK(close(y, expected, tolerance));
  const auto strided = [](const Tensor& t) { return t.defined() ? strided_copy_of(t) : t; };
  CHECK(same_bits(linear_residual(strided(x), strided(weight), strided(bias), strided(gamma),
                                  strided(residual)),
                  y));
}

TEST_CASE("linear: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  const Tensor x = random_tensor({2, 5, 7}, f64), weight = random_tensor({19, 7}, f64, 2);
  const Tensor bias = random_tensor({19}, f64, 3), gamma = random_tensor({19}, f64, 4);
  const Tensor residual = random_tensor({2, 5, 19}, f64, 5);
  CHECK(gradcheck([](const Inputs& in) { return linear(in[0], in[1]); }, {x, weight}));
  CHECK(gradcheck([](const Inputs& in) { return linear(in[0], in[1], in[2]); }, {x, weight, bias}));
  CHECK(gradcheck([](const Inputs& in) { return linear_gelu(in[0], in[1]); }, {x, weight}));
  CHECK(gradcheck([](const Inputs& in) { return linear_gelu(in[0], in[1], in[2]); },
                  {x, weight, bias}));
  CHECK(
      gradcheck([](const Inputs& in) { return linear_residual(in[0], in[1], in[2], in[3], in[4]); },
                {x, weight, bias, gamma, residual}));
  CHECK(gradcheck([](const Inputs& in) { return linear_residual(in[0], in[1], {}, in[2], in[3]); },
                  {x, weight, gamma, residual}));
  CHECK(gradcheck([](const Inputs& in) { return linear_residual(in[0], in[1], in[2], {}, in[3]); },
                  {x, weight, bias, residual}));
  CHECK(gradcheck([](const Inputs& in) { return linear_residual(in[0], in[1], {}, {}, in[2]); },
                  {x, weight, residual}));
}

TEST_CASE("linear: gradients reach views, and a tensor that is both input and residual") {
  const TensorOptions f64{DType::f64};
  const Tensor square = random_tensor({7, 7}, f64, 2), gamma = random_tensor({7}, f64, 4);
  CHECK(gradcheck([](const Inputs& in) { return linear_residual(in[0], in[1], {}, in[2], in[0]); },
                  {random_tensor({5, 7}, f64), square, gamma}));
  CHECK(gradcheck(
      [](const Inputs& in) {
        return linear_residual(in[0].transpose(0, 1), in[1].transpose(0, 1), {}, in[2],
                               in[0].transpose(0, 1));
      },
      {random_tensor({7, 5}, f64), square, gamma}));
}

TEST_CASE("linear: frozen arguments get no gradient, and the others the same as ever") {
  const Size size{{2, 5}, 33, 17};
  const auto f = [](const Inputs& in) {
    return linear_residual(in[0], in[1], in[2], in[3], in[4]);
  };
  const DType type = DType::f32;
  const Inputs in{size.x({type}), size.weight({type}), size.row({type}, 3), size.row({type}, 4),
                  size.residual({type})};
  const std::vector<Tensor> all = output_and_grads(f, in);
  for (size_t only = 0; only < in.size(); ++only) {
    CAPTURE(only);
    Inputs leaves;
    for (size_t i = 0; i < in.size(); ++i)
      leaves.push_back(in[i].detach().set_requires_grad(i == only));
    const Tensor y = f(leaves);
    backward(y, random_tensor(y.shape(), {}, 77));  // as output_and_grads
    for (size_t i = 0; i < in.size(); ++i) CHECK(leaves[i].grad().defined() == (i == only));
    CHECK(same_bits(leaves[only].grad(), all[only + 1]));
  }
}

TEST_CASE("linear: gradients in every type agree with f64") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  CAPTURE(backend);
  const Size size{{71}, 35, 83};
  const auto in = [&](TensorOptions options) {
    const auto rounded = [&](const Tensor& t) { return t.to(options.dtype).to(options.device); };
    return Inputs{rounded(size.x({dtype})), rounded(size.weight({dtype})),
                  rounded(size.row({dtype}, 3)), rounded(size.row({dtype}, 4)),
                  rounded(size.residual({dtype}))};
  };
  const auto check_grads = [&](size_t count, const std::function<Tensor(const Inputs&)>& f,
                               double factor) {
    Inputs narrow = in(backend.options), wide = in({DType::f64});
    narrow.resize(count), wide.resize(count);
    const std::vector<Tensor> actual = output_and_grads(f, narrow);
    const std::vector<Tensor> exact = output_and_grads(f, wide);
    // dy is drawn in f64 and rounded to the dtype, and so are the values between product and
    // activation: relative errors of epsilon / 2 in random directions in sums of at most 83
    // products, 4 sqrt(83) epsilon with the largest of many; the sums themselves in f32 as in
    // sum_of_products; then the rounding of the result.
    const double e = epsilon(dtype);
    const double absolute = 4 * std::sqrt(83.0) * e + 4 * 83 * epsilon(DType::f32);
    for (size_t i = 1; i < actual.size(); ++i) {
      CAPTURE(i);
      CHECK(close(actual[i], values(exact[i]), {.absolute = factor * absolute, .relative = e}));
    }
  };
  check_grads(
      3, [](const Inputs& in) { return linear(in[0], in[1], in[2]); }, 1);
  // The slope of GELU at a rounded sum of up to 4 sqrt(35): |gelu''| < 0.8 where |s| < 4, at an
  // error of 4 epsilon / 2.
  check_grads(
      3, [](const Inputs& in) { return linear_gelu(in[0], in[1], in[2]); }, 2.6);
  // |gamma| < 4 scales dx and dW; dgamma multiplies sums over the rows with sums over K.
  check_grads(
      5, [](const Inputs& in) { return linear_residual(in[0], in[1], in[2], in[3], in[4]); }, 4);
}

TEST_CASE("linear_residual: folding LayerScale into the gradients changes only rounding") {
  const DType dtype = GENERATE(DType::f64, DType::f32);
  CAPTURE(dtype);
  const Size size{{2, 35}, 67, 33};
  const Inputs in{size.x({dtype}), size.weight({dtype}), size.row({dtype}, 3), size.row({dtype}, 4),
                  size.residual({dtype})};
  const std::vector<Tensor> fused = output_and_grads(
      [](const Inputs& in) { return linear_residual(in[0], in[1], in[2], in[3], in[4]); }, in);
  const std::vector<Tensor> plain = output_and_grads(
      [](const Inputs& in) { return add(layer_scale(linear(in[0], in[1], in[2]), in[3]), in[4]); },
      in);
  // Both forms sum the same products in other orders: 4 K epsilon each (see sum_of_products, with
  // |gamma| < 4), where K is the largest number of terms, 70 rows or 67 columns. dgamma is a sum of
  // 70 * 67 products in both.
  for (size_t i = 0; i < fused.size(); ++i) {
    CAPTURE(i);
    const double terms = i == 4 ? 70 * 67 : 70;
    CHECK(close(fused[i], values(plain[i]),
                {.absolute = 4 * 4 * terms * epsilon(dtype), .relative = 2 * epsilon(dtype)}));
  }
}

TEST_CASE("linear: packed weights give the same bits, and come back") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const Size size = GENERATE(from_range(kSizes));
  CAPTURE(cpu::isa(), dtype, size.K, size.N);
  const Tensor x = size.x({dtype}), weight = size.weight({dtype}), bias = size.row({dtype}, 3);
  const Tensor gamma = size.row({dtype}, 4), residual = size.residual({dtype});
  const Tensor packed = pack_linear(weight);
  CHECK(packed.layout() == Layout::packed);
  CHECK(packed.shape() == weight.shape());
  CHECK(packed.dtype() == dtype);
  CHECK(same_bits(unpack_linear(packed), weight));
  CHECK(same_bits(unpack_linear(pack_linear(strided_copy_of(weight))), weight));
  CHECK(same_bits(linear(x, packed, bias), linear(x, weight, bias)));
  CHECK(same_bits(linear_gelu(x, packed, bias), linear_gelu(x, weight, bias)));
  CHECK(same_bits(linear_residual(x, packed, bias, gamma, residual),
                  linear_residual(x, weight, bias, gamma, residual)));
  CHECK(pack_linear(packed).storage() == packed.storage());
}

TEST_CASE("linear: f16 weights and strided ones pass the packing functions") {
  const Tensor half = random_tensor({5, 7}, {DType::f16});
  CHECK(pack_linear(half).layout() == Layout::strided);
  CHECK(same_bits(pack_linear(half), half));
  CHECK(same_bits(unpack_linear(half), half));
}

TEST_CASE("linear: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Size size{{2, 411}, 67, 97};
  const Inputs in{size.x({dtype}), size.weight({dtype}), size.row({dtype}, 3), size.row({dtype}, 4),
                  size.residual({dtype})};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [](const Inputs& in) {
          return add(linear_gelu(in[0], in[1], in[2]),
                     linear_residual(in[0], in[1], in[2], in[3], in[4]));
        },
        in);
  }));
}

TEST_CASE("linear: says what is wrong") {
  const Tensor x = full({2, 384}, 1), weight = full({5, 384}, 1), y = full({2, 5}, 1);
  CHECK_THROWS_WITH(linear(x, full({5, 768}, 1)),
                    Catch::Contains("linear: weight [5, 768] does not fit x [2, 384]"));
  CHECK_THROWS_WITH(linear(x, full({5, 1, 384}, 1)), Catch::Contains("weight [N, K]"));
  CHECK_THROWS_WITH(linear(x, weight, full({384}, 1)),
                    Catch::Contains("bias must be [5], but is [384]"));
  CHECK_THROWS_WITH(linear(x, weight.to(DType::bf16)), Catch::Contains("share dtype"));
  CHECK_THROWS_WITH(linear(x, weight, full({5}, 1, {DType::f64})), Catch::Contains("share dtype"));
  CHECK_THROWS_WITH(linear(full({2, 3}, 1, {DType::i32}), full({2, 3}, 1, {DType::i32})),
                    Catch::Contains("expected f64, f32 or bf16, got i32"));
  CHECK_THROWS_WITH(linear_gelu(x, full({5, 768}, 1)), Catch::Contains("linear_gelu: weight"));
  CHECK_THROWS_WITH(linear_residual(x, weight, {}, {}, x),
                    Catch::Contains("residual must be [2, 5], but is [2, 384]"));
  CHECK_THROWS_WITH(linear_residual(x, weight, {}, full({2}, 1), y),
                    Catch::Contains("gamma must be [5], but is [2]"));
  CHECK_THROWS_WITH(linear_residual(x, weight, {}, {}, y.to(DType::f64)),
                    Catch::Contains("share dtype"));
  CHECK_THROWS_WITH(pack_linear(full({5}, 1)), Catch::Contains("weight must be [N, K], got [5]"));
}

// A packed weight has no backward pass; a gradient that silently stopped there would be wrong.
TEST_CASE("linear: packed weights refuse gradients") {
  const Tensor x = full({2, 3}, 1), packed = pack_linear(full({5, 3}, 1));
  const auto leaf = [](const Shape& shape) { return full(shape, 1).set_requires_grad(); };
  const auto refuses = Catch::Contains("packed weights have no gradients");
  CHECK_THROWS_WITH(linear(leaf({2, 3}), packed), refuses);
  CHECK_THROWS_WITH(linear(x, packed, leaf({5})), refuses);
  CHECK_THROWS_WITH(linear_gelu(leaf({2, 3}), packed), refuses);
  CHECK_THROWS_WITH(linear_residual(leaf({2, 3}), packed, {}, {}, full({2, 5}, 1)), refuses);
  CHECK_THROWS_WITH(linear_residual(x, packed, {}, leaf({5}), full({2, 5}, 1)), refuses);
  CHECK_THROWS_WITH(linear_residual(x, packed, {}, {}, leaf({2, 5})), refuses);
  const NoGrad no_grad;
  CHECK_NOTHROW(linear_residual(leaf({2, 3}), packed, {}, leaf({5}), leaf({2, 5})));
}

TEST_CASE("unpack_linear: refuses what another op packed") {
  CHECK_THROWS_WITH(unpack_linear(Tensor::over(Storage::allocate(64, kCpu), {1, 1, 1, 1},
                                               {1, 1, 1, 1}, 0, DType::f32, Layout::packed)),
                    Catch::Contains("[1, 1, 1, 1] is not from pack_linear"));
}

}  // namespace fathom
