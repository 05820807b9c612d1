#include "kernels/conv_transpose2d.h"

#include <cmath>

#include "tests/kernels/sweeps.h"

namespace fathom {

static std::vector<double> reference(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const int64_t s = weight.dim(0), O = weight.dim(2);
  const std::vector<double> v = values(x), w = values(weight);
  const std::vector<double> b = bias.defined() ? values(bias) : std::vector<double>(size_t(O), 0.0);
  std::vector<double> y(size_t(B * s * H * s * W * O), 0.0);
  for (int64_t n = 0; n < B; ++n)
    for (int64_t i = 0; i < H; ++i)
      for (int64_t j = 0; j < W; ++j)
        for (int64_t ky = 0; ky < s; ++ky)
          for (int64_t kx = 0; kx < s; ++kx)
            for (int64_t o = 0; o < O; ++o) {
              double sum = b[size_t(o)];
              for (int64_t c = 0; c < C; ++c)
                sum += v[size_t(((n * H + i) * W + j) * C + c)] *
                       w[size_t(((ky * s + kx) * O + o) * C + c)];
              y[size_t(((n * s * H + s * i + ky) * s * W + s * j + kx) * O + o)] = sum;
            }
  return y;
}

struct Sizes {
  int64_t B, H, W, C, O, stride;

  Inputs inputs(TensorOptions options) const {
    return {random_tensor({B, H, W, C}, options), random_tensor({stride, stride, O, C}, options, 2),
            random_tensor({O}, options, 3)};
  }
};

static const std::vector<Sizes> kSizes{
    {1, 1, 1, 1, 1, 1}, {2, 3, 5, 7, 19, 2}, {1, 5, 3, 33, 5, 4}, {2, 1, 7, 16, 1, 3}};

TEST_CASE("conv_transpose2d: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const Sizes n = GENERATE(from_range(kSizes));
  CAPTURE(backend, n.C, n.O, n.stride);
  const Inputs in = n.inputs(backend.options);
  // Sums of C products of normal values, as in the tests of linear: 4 C epsilon of the type to sum
  // in. The product, at most 4 sqrt(C) plus a bias of 4, is rounded to the dtype before the bias is
  // added, to epsilon / 2 of it; then the result.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32), C = double(n.C);
  const Tolerance tolerance{.absolute = (4 * C + 4) * e + (2 * std::sqrt(C) + 2) * epsilon(dtype),
                            .relative = epsilon(dtype)};
  const Tensor y = conv_transpose2d(in[0], in[1], in[2], n.stride);
  CHECK(y.shape() == Shape{n.B, n.stride * n.H, n.stride * n.W, n.O});
  CHECK(close(y, reference(in[0], in[1], in[2]), tolerance));
  CHECK(
      close(conv_transpose2d(in[0], in[1], {}, n.stride), reference(in[0], in[1], {}), tolerance));
  CHECK(same_bits(conv_transpose2d(strided_copy_of(in[0]), strided_copy_of(in[1]),
                                   strided_copy_of(in[2]), n.stride),
                  y));
}

TEST_CASE("conv_transpose2d: every weight lands on its own pixel") {
  // Exact: one input of 1, and a weight that counts.
  std::vector<double> counting;
  for (int i = 0; i < 2 * 2 * 3; ++i) counting.push_back(i);
  const Tensor y = conv_transpose2d(from_values({1, 1, 2, 1}, {0, 1}),
                                    from_values({2, 2, 3, 1}, counting), {}, 2);
  CHECK(values(y) == std::vector<double>{0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4,  5,     // y = 0
                                         0, 0, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11});  // y = 1
}

TEST_CASE("conv_transpose2d: gradients match central differences") {
  const Sizes n = GENERATE(from_range(kSizes));
  CAPTURE(n.C, n.O, n.stride);
  const Inputs in = n.inputs({DType::f64});
  CHECK(gradcheck([&](const Inputs& in) { return conv_transpose2d(in[0], in[1], in[2], n.stride); },
                  in));
  CHECK(gradcheck([&](const Inputs& in) { return conv_transpose2d(in[0], in[1], {}, n.stride); },
                  {in[0], in[1]}));
}

TEST_CASE("conv_transpose2d: gradients in every type agree with f64") {
  const TensorOptions options =
      GENERATE(from_range(test_options({DType::f32, DType::bf16, DType::f16})));
  const DType dtype = options.dtype;
  const Sizes n{2, 3, 5, 7, 19, 2};
  CAPTURE(options);
  const auto f = [](const Inputs& in) { return conv_transpose2d(in[0], in[1], in[2], 2); };
  const Inputs in = n.inputs(options);
  Inputs exact_in;
  for (const Tensor& t : in) exact_in.push_back(t.to(kCpu).to(DType::f64));
  const std::vector<Tensor> actual = output_and_grads(f, in), exact = output_and_grads(f, exact_in);
  // dy is drawn in f64 and rounded to the dtype: epsilon / 2 of each term in a random direction,
  // 4 sqrt(K) epsilon / 2 for the largest of many sums of K products, 120 pixels for the bias; the
  // sums in f32 by 4 K epsilon; then the rounding of the result.
  const double absolute = 2 * std::sqrt(120) * epsilon(dtype) + 4 * 120 * epsilon(DType::f32);
  for (size_t i = 1; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(close(actual[i], values(exact[i]), {.absolute = absolute, .relative = epsilon(dtype)}));
  }
}

TEST_CASE("conv_transpose2d: packed weights give the same bits") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const Sizes n = GENERATE(from_range(kSizes));
  CAPTURE(cpu::isa(), dtype, n.C, n.O, n.stride);
  const Inputs in = n.inputs({dtype});
  const Tensor packed = pack_conv_transpose2d(strided_copy_of(in[1]));
  CHECK(packed.shape() == in[1].shape());
  CHECK(packed.dtype() == dtype);
  CHECK(packed.layout() == (dtype == DType::f16 ? Layout::strided : Layout::packed));
  CHECK(same_bits(conv_transpose2d(in[0], packed, in[2], n.stride),
                  conv_transpose2d(in[0], in[1], in[2], n.stride)));
  CHECK(pack_conv_transpose2d(packed).storage() == packed.storage());
}

TEST_CASE("conv_transpose2d: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Inputs in = Sizes{2, 37, 19, 35, 33, 2}.inputs({dtype});
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [](const Inputs& in) { return conv_transpose2d(in[0], in[1], in[2], 2); }, in);
  }));
}

TEST_CASE("conv_transpose2d: says what is wrong") {
  const Tensor x = full({1, 5, 7, 3}, 1), weight = full({2, 2, 4, 3}, 1);
  CHECK_THROWS_WITH(conv_transpose2d(full({5, 7, 3}, 1), weight, {}, 2),
                    Catch::Contains("x [B, H, W, C] and weight [s, s, O, C], got [5, 7, 3]"));
  CHECK_THROWS_WITH(
      conv_transpose2d(x, weight, {}, 4),
      Catch::Contains("weight [2, 2, 4, 3] does not fit x [1, 5, 7, 3] and stride 4"));
  CHECK_THROWS_WITH(conv_transpose2d(x, full({2, 2, 4, 5}, 1), {}, 2),
                    Catch::Contains("does not fit"));
  CHECK_THROWS_WITH(conv_transpose2d(x, weight, full({3}, 1), 2),
                    Catch::Contains("bias must be [4], but is [3]"));
  CHECK_THROWS_WITH(conv_transpose2d(x, weight.to(DType::bf16), {}, 2),
                    Catch::Contains("conv_transpose2d") && Catch::Contains("share dtype"));
  CHECK_THROWS_WITH(pack_conv_transpose2d(full({4, 3}, 1)),
                    Catch::Contains("weight must be [s, s, O, C], got [4, 3]"));
}

TEST_CASE("conv_transpose2d: packed weights refuse the gradient of x") {
  const Tensor x = full({1, 5, 7, 3}, 1), packed = pack_conv_transpose2d(full({2, 2, 4, 3}, 1));
  const Tensor leaf = x.detach().set_requires_grad();
  CHECK_THROWS_WITH(conv_transpose2d(leaf, packed, {}, 2),
                    Catch::Contains("packed weights have no gradients"));
  const NoGrad no_grad;
  CHECK_NOTHROW(conv_transpose2d(leaf, packed, {}, 2));
}

}  // namespace fathom
