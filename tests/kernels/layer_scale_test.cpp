#include "kernels/layer_scale.h"

#include "tests/kernels/sweeps.h"

namespace fathom {

// The definition in plain loops: slow, obvious, and sharing no code with the kernels.
static std::vector<double> reference(const Tensor& x, const Tensor& gamma) {
  std::vector<double> y = values(x);
  const std::vector<double> g = values(gamma);
  for (size_t i = 0; i < y.size(); ++i) y[i] *= g[i % g.size()];
  return y;
}

TEST_CASE("layer_scale: matches its definition") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const Shape shape = GENERATE(Shape{1}, Shape{3, 33}, Shape{2, 1370, 7}, Shape{2, 5, 384});
  CAPTURE(backend, shape);
  const Tensor x = random_tensor(shape, options);
  const Tensor gamma = random_tensor({shape[shape.rank() - 1]}, options, 2);
  // One product and one rounding: the result is within one epsilon of the exact value.
  CHECK(close(layer_scale(x, gamma), reference(x, gamma),
              {.absolute = dtype == DType::f16 ? 0x1p-25 : 0, .relative = epsilon(dtype)}));
  CHECK(same_bits(layer_scale(strided_copy_of(x), strided_copy_of(gamma)), layer_scale(x, gamma)));
}

TEST_CASE("layer_scale: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  CHECK(gradcheck([](const Inputs& in) { return layer_scale(in[0], in[1]); },
                  {random_tensor({2, 9, 33}, f64), random_tensor({33}, f64)}));
}

TEST_CASE("layer_scale: threads do not change the bits") {
  const Inputs in{random_tensor({1370, 51}), random_tensor({51}, {}, 2)};
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([](const Inputs& in) { return layer_scale(in[0], in[1]); }, in);
  }));
}

TEST_CASE("layer_scale: says what is wrong with gamma") {
  CHECK_THROWS_WITH(layer_scale(random_tensor({2, 384}), random_tensor({768})),
                    Catch::Contains("gamma must be [384]") && Catch::Contains("but is [768]"));
  CHECK_THROWS_WITH(layer_scale(random_tensor({2, 4}), random_tensor({4}, {DType::f64})),
                    Catch::Contains("share dtype"));
}

}  // namespace fathom
