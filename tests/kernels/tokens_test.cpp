#include "kernels/tokens.h"

#include "tests/kernels/sweeps.h"

namespace fathom {

static std::vector<double> reference(const Tensor& patches, const Tensor& cls,
                                     const Tensor& positions, const Tensor& registers) {
  const int64_t B = patches.dim(0), P = patches.dim(1), D = patches.dim(2);
  const std::vector<double> x = values(patches), c = values(cls), p = values(positions);
  const std::vector<double> r = registers.defined() ? values(registers) : std::vector<double>();
  std::vector<double> y;
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t d = 0; d < D; ++d) y.push_back(c[d] + p[d]);
    y.insert(y.end(), r.begin(), r.end());
    for (int64_t i = 0; i < P * D; ++i) y.push_back(x[b * P * D + i] + p[D + i]);
  }
  return y;
}

TEST_CASE("assemble_tokens: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const int64_t R = GENERATE(0, 1, 4);
  const Shape shape = GENERATE(Shape{1, 1, 1}, Shape{3, 35, 7}, Shape{2, 49, 384});
  CAPTURE(backend, R, shape);
  const int64_t P = shape[1], D = shape[2];
  const Tensor patches = random_tensor(shape, options), cls = random_tensor({D}, options, 2);
  const Tensor positions = random_tensor({1 + P, D}, options, 3);
  const Tensor registers = R ? random_tensor({R, D}, options, 4) : Tensor();
  const Tensor y = assemble_tokens(patches, cls, positions, registers);
  CHECK(y.shape() == Shape{shape[0], 1 + R + P, D});
  CHECK(close(y, reference(patches, cls, positions, registers), {.relative = epsilon(dtype)}));
  CHECK(same_bits(
      assemble_tokens(strided_copy_of(patches), strided_copy_of(cls), strided_copy_of(positions),
                      R ? strided_copy_of(registers) : Tensor()),
      y));
}

TEST_CASE("assemble_tokens: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  const Inputs in{random_tensor({3, 6, 5}, f64), random_tensor({5}, f64, 2),
                  random_tensor({7, 5}, f64, 3), random_tensor({2, 5}, f64, 4)};
  CHECK(
      gradcheck([](const Inputs& in) { return assemble_tokens(in[0], in[1], in[2], in[3]); }, in));
  CHECK(gradcheck(
      [](const Inputs& in) { return assemble_tokens(in[0], in[1], in[2]); },
      {random_tensor({3, 6, 5}, f64), random_tensor({5}, f64, 2), random_tensor({7, 5}, f64, 3)}));
}

TEST_CASE("assemble_tokens: threads do not change the bits") {
  const Inputs in{random_tensor({5, 63, 33}), random_tensor({33}, {}, 2),
                  random_tensor({64, 33}, {}, 3), random_tensor({4, 33}, {}, 4)};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads(
        [](const Inputs& in) { return assemble_tokens(in[0], in[1], in[2], in[3]); }, in);
  }));
}

TEST_CASE("assemble_tokens: says what is wrong") {
  const Tensor patches = full({2, 6, 5}, 1), cls = full({5}, 1), positions = full({7, 5}, 1);
  CHECK_THROWS_WITH(assemble_tokens(full({6, 5}, 1), cls, positions),
                    Catch::Contains("patches must be [B, P, D]"));
  CHECK_THROWS_WITH(assemble_tokens(patches, full({4}, 1), positions),
                    Catch::Contains("cls must be [5]"));
  CHECK_THROWS_WITH(assemble_tokens(patches, cls, full({6, 5}, 1)),
                    Catch::Contains("positions must be [7, 5]") && Catch::Contains("are [6, 5]"));
  CHECK_THROWS_WITH(assemble_tokens(patches, cls, positions, full({2, 4}, 1)),
                    Catch::Contains("registers must be [R, 5]"));
}

}  // namespace fathom
