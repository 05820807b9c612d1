#include "kernels/weighted_mean.h"

#include <limits>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("weighted_mean: images of weight 0 do not count") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = from_values({3}, {2, nan, 5}, {dtype});
  CHECK(weighted_mean(x, from_values({3}, {1, 0, 1}, {dtype})).item() == 3.5);
  CHECK(weighted_mean(x, from_values({3}, {3, 0, 1}, {dtype})).item() == 2.75);
  CHECK(weighted_mean(x, zeros({3}, {dtype})).item() == 0);
}

TEST_CASE("weighted_mean: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  const Tensor weights = from_values({3}, {1, 0, 0.5}, f64);
  CHECK(gradcheck([&](const Inputs& in) { return weighted_mean(in[0], weights); },
                  {random_tensor({3}, f64)}));
  Tensor x = random_tensor({3}, f64).set_requires_grad();
  backward(weighted_mean(x, zeros({3}, f64)));
  CHECK(values(x.grad()) == std::vector<double>{0, 0, 0});
}

TEST_CASE("weighted_mean: says what is wrong") {
  CHECK_THROWS_WITH(weighted_mean(full({3}, 1), full({2}, 1)), Catch::Contains("[3] and [2]"));
}

}  // namespace fathom
