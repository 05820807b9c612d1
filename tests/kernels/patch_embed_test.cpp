#include "kernels/patch_embed.h"

#include <cmath>

#include "kernels/conv2d.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

// Patch by patch, row by row: the dot product of its pixels with every filter.
static std::vector<double> reference(const Tensor& image, const Tensor& weight,
                                     const Tensor& bias) {
  const int64_t B = image.dim(0), H = image.dim(1), W = image.dim(2), C = image.dim(3);
  const int64_t D = weight.dim(0), p = weight.dim(1);
  const std::vector<double> v = values(image), w = values(weight), b = values(bias);
  std::vector<double> tokens;
  for (int64_t n = 0; n < B; ++n)
    for (int64_t top = 0; top < H; top += p)
      for (int64_t left = 0; left < W; left += p)
        for (int64_t d = 0; d < D; ++d) {
          double sum = b[size_t(d)];
          for (int64_t y = 0; y < p; ++y)
            for (int64_t x = 0; x < p; ++x)
              for (int64_t c = 0; c < C; ++c)
                sum += v[size_t(((n * H + top + y) * W + left + x) * C + c)] *
                       w[size_t(((d * p + y) * p + x) * C + c)];
          tokens.push_back(sum);
        }
  return tokens;
}

static Inputs inputs(TensorOptions options, int64_t B, int64_t H, int64_t W, int64_t D, int64_t p) {
  return {random_tensor({B, H, W, 3}, options), random_tensor({D, p, p, 3}, options, 2),
          random_tensor({D}, options, 3)};
}

static Tensor embed(const Inputs& in) { return patch_embed(in[0], in[1], in[2]); }

TEST_CASE("patch_embed: matches its definition, packed or not") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const DType dtype = backend.options.dtype;
  const int64_t p = GENERATE(14, 5, 1), D = GENERATE(1, 19);
  CAPTURE(backend, p, D);
  const Inputs in = inputs(backend.options, 2, 2 * p, 3 * p, D, p);
  // As for linear: sums of K = 3 p^2 products err by 4 K epsilon of the type to sum in, then one
  // rounding to the dtype.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const Tensor tokens = embed(in);
  CHECK(tokens.shape() == Shape{2, 6, D});
  CHECK(close(tokens, reference(in[0], in[1], in[2]),
              {.absolute = (4 * 3 * double(p * p) + 4) * e, .relative = epsilon(dtype)}));
  CHECK(same_bits(embed({strided_copy_of(in[0]), strided_copy_of(in[1]), strided_copy_of(in[2])}),
                  tokens));
  CHECK(same_bits(embed({in[0], pack_conv2d(in[1], p, 0), in[2]}), tokens));
}

TEST_CASE("patch_embed: gradients match central differences") {
  CHECK(gradcheck(embed, inputs({DType::f64}, 2, 4, 6, 5, 2)));
  CHECK(gradcheck(embed, inputs({DType::f64}, 1, 28, 14, 3, 14)));
}

TEST_CASE("patch_embed: gradients in every type agree with f64") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const int64_t p = GENERATE(14, 5);
  CAPTURE(backend, p);
  const bool of_image = GENERATE(false, true);  // the image as a constant, as in training, or not
  Inputs in = inputs(backend.options, 2, 2 * p, 3 * p, 19, p), exact_in;
  for (const Tensor& t : in) exact_in.push_back(t.to(kCpu).to(DType::f64));
  const auto gradients = [&](const Inputs& in) {
    const Tensor image = in[0];
    if (of_image) return output_and_grads(embed, in);
    return output_and_grads(
        [&](const Inputs& rest) { return patch_embed(image, rest[0], rest[1]); }, {in[1], in[2]});
  };
  const std::vector<Tensor> actual = gradients(in), exact = gradients(exact_in);
  // dy is rounded to the dtype: for the weights sums of 12 patches, for the image of 19 filters.
  const double e = epsilon(backend.options.dtype), K = 19;
  for (size_t i = 1; i < actual.size(); ++i)
    CHECK(close(actual[i], values(exact[i]),
                {.absolute = 4 * std::sqrt(K) * e + 4 * K * epsilon(DType::f32), .relative = e}));
}

TEST_CASE("patch_embed: threads do not change the bits") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Inputs in = inputs({dtype}, 2, 70, 98, 67, 14);
  CHECK(same_bits_with_any_threads([&] { return output_and_grads(embed, in); }));
}

TEST_CASE("patch_embed: says what is wrong") {
  const Tensor weight = full({5, 14, 14, 3}, 1), bias = full({5}, 1);
  CHECK_THROWS_WITH(patch_embed(full({1, 28, 30, 3}, 1), weight, bias),
                    Catch::Contains("image [1, 28, 30, 3]") && Catch::Contains("multiples of 14"));
  CHECK_THROWS_WITH(patch_embed(full({28, 28, 3}, 1), weight, bias),
                    Catch::Contains("must be [B, H, W, 3]"));
  CHECK_THROWS_WITH(patch_embed(full({1, 28, 28, 4}, 1), weight, bias),
                    Catch::Contains("does not fit"));
  CHECK_THROWS_WITH(patch_embed(full({1, 28, 28, 3}, 1), full({5, 14, 7, 3}, 1), bias),
                    Catch::Contains("weight must be [D, p, p, 3], got [5, 14, 7, 3]"));
}

}  // namespace fathom
