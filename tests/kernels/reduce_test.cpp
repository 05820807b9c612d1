#include "kernels/reduce.h"

#include <cmath>

#include "tests/kernels/sweeps.h"

namespace fathom {

TEST_CASE("reduce: sum and mean match their definitions") {
  const Backend backend =
      GENERATE(from_range(test_backends({DType::f64, DType::f32, DType::bf16, DType::f16})));
  const cpu::IsaScope isa(backend.isa);
  const TensorOptions options = backend.options;
  const DType dtype = options.dtype;
  const Shape shape = GENERATE(Shape{}, Shape{1}, Shape{61}, Shape{3, 1370, 7}, Shape{70001});
  CAPTURE(backend, shape);
  const Tensor x = random_tensor(shape, options);
  double total = 0, magnitude = 0;
  for (const double v : values(x)) total += v, magnitude += std::fabs(v);
  const double n = double(x.numel());
  // A lane adds at most 2^13 / 4 values and loses half an ulp each time, far below the bound of
  // sqrt(2048) roundings of the piece's magnitude; then one rounding of the result.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const double sums = 46 * e * magnitude;
  CHECK(sum(x).shape() == Shape{});
  CHECK(close(sum(x), std::vector<double>{total}, {.absolute = sums, .relative = epsilon(dtype)}));
  CHECK(close(mean(x), std::vector<double>{total / n},
              {.absolute = sums / n, .relative = epsilon(dtype)}));
  if (x.rank() > 0) CHECK(same_bits(sum(strided_copy_of(x)), sum(x)));
}

TEST_CASE("reduce: a long sum keeps its digits") {
  // A running float sum of 2^25 ones stops at 2^24.
  CHECK(sum(full({1 << 25}, 1)).item() == double(1 << 25));
}

TEST_CASE("reduce: columns match their definitions") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  const cpu::IsaScope isa(GENERATE(from_range(test_isas())));
  const Shape shape =
      GENERATE(Shape{1}, Shape{2, 1}, Shape{3, 67}, Shape{2, 700, 5}, Shape{1370, 384});
  CAPTURE(cpu::isa(), dtype, shape);
  const int64_t C = shape[shape.rank() - 1];
  const Tensor x = random_tensor(shape, {dtype}), y = random_tensor(shape, {dtype}, 2);
  const std::vector<double> vx = values(x), vy = values(y);
  std::vector<double> sums(C), dots(C);
  for (size_t i = 0; i < vx.size(); ++i) sums[i % C] += vx[i], dots[i % C] += vx[i] * vy[i];
  Tensor column_sums = empty({C}, {dtype}), column_dots = empty({C}, {dtype});
  kernels::column_sum(CpuStream{}, x, column_sums);
  kernels::column_dot(CpuStream{}, x, y, column_dots);
  // At most 256 additions of values of order 1 a piece: 16 * 16 roundings, if all of one sign.
  const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
  const double rows = double(vx.size()) / double(C);
  const Tolerance tolerance{.absolute = 16 * e * rows, .relative = epsilon(dtype)};
  CHECK(close(column_sums, sums, tolerance));
  CHECK(close(column_dots, dots, tolerance));
}

TEST_CASE("reduce: gradients match central differences") {
  const TensorOptions f64{DType::f64};
  CHECK(gradcheck([](const Inputs& in) { return sum(in[0]); }, {random_tensor({3, 5}, f64)}));
  CHECK(gradcheck([](const Inputs& in) { return mean(in[0]); }, {random_tensor({3, 5}, f64)}));
}

TEST_CASE("reduce: threads do not change the bits") {
  const Tensor x = random_tensor({3001, 67});
  CHECK(same_bits_with_any_threads([&] {
    Tensor columns = empty({67});
    kernels::column_sum(CpuStream{}, x, columns);
    return std::vector<Tensor>{sum(x), mean(x), columns};
  }));
}

TEST_CASE("reduce: refuses integers") {
  CHECK_THROWS_WITH(sum(full({2}, 1, {DType::i64})), Catch::Contains("floating dtype"));
}

}  // namespace fathom
