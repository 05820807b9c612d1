#include "core/strided_copy.h"

#include <algorithm>
#include <random>

#include "core/parallel.h"
#include "tests/testing.h"

namespace fathom {

// Axes of a contiguous tensor in another order.
static Tensor permuted(const Tensor& x, const std::vector<int>& order) {
  Shape shape;
  Strides strides;
  for (const int axis : order) {
    shape.push_back(x.shape()[axis]);
    strides.push_back(x.strides()[axis]);
  }
  return Tensor::over(x.storage(), shape, strides, x.offset(), x.dtype());
}

// Element by element with a counter for each axis: the definition.
static std::vector<double> elements(const Tensor& x) {
  const double* data = x.data<double>();
  std::vector<double> result;
  std::vector<int64_t> index(size_t(x.rank()), 0);
  for (int64_t n = 0; n < x.numel(); ++n) {
    int64_t at = 0;
    for (int axis = 0; axis < x.rank(); ++axis) at += index[size_t(axis)] * x.strides()[axis];
    result.push_back(data[at]);
    for (int axis = x.rank() - 1; axis >= 0 && ++index[size_t(axis)] == x.shape()[axis]; --axis)
      index[size_t(axis)] = 0;
  }
  return result;
}

TEST_CASE("strided_copy: every order of axes, on both sides") {
  for (const Shape& shape :
       {Shape{2, 3, 5}, Shape{4, 1, 3, 2}, Shape{1, 1, 1}, Shape{2, 2, 2, 2}}) {
    const Tensor x = random_tensor(shape, {DType::f64});
    std::vector<int> order(size_t(shape.rank()));
    for (int i = 0; i < shape.rank(); ++i) order[size_t(i)] = i;
    do {
      CAPTURE(shape, order);
      const Tensor from = permuted(x, order);
      Tensor to = empty(from.shape(), {DType::f64});
      strided_copy(from, to);
      REQUIRE(elements(to) == elements(from));

      Tensor target = empty(shape, {DType::f64}), view = permuted(target, order);
      strided_copy(to, view);
      REQUIRE(same_bits(target, x));
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("strided_copy: six axes with random gaps, and nothing else is written") {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Shape wide, shape;
    Strides strides;
    int64_t offset = 0;
    const int rank = int(random() % 7);
    for (int i = 0; i < rank; ++i) wide.push_back(1 + random() % 5);
    const Strides full_strides = contiguous_strides(wide);
    for (int i = 0; i < rank; ++i) {
      const int64_t begin = random() % uint64_t(wide[i]), step = 1 + random() % 2;
      shape.push_back(ceil_div(wide[i] - begin, step));
      strides.push_back(full_strides[i] * step);
      offset += begin * full_strides[i];
    }
    Tensor target = full(wide, -77, {DType::f64});
    Tensor to = Tensor::over(target.storage(), shape, strides, offset, DType::f64);
    const Tensor from = random_tensor(shape, {DType::f64}, uint64_t(round));
    strided_copy(from, to);
    CAPTURE(wide, shape);
    REQUIRE(elements(to) == values(from));
    const std::vector<double> all = values(target);
    REQUIRE(std::count(all.begin(), all.end(), -77.0) == wide.numel() - shape.numel());
  }
}

TEST_CASE("strided_copy: a scalar") {
  Tensor to = empty({});
  strided_copy(from_values({}, {2.5}), to);
  CHECK(to.item() == 2.5);
}

TEST_CASE("strided_copy: between all dtypes") {
  const std::vector<DType> all{DType::f64, DType::f32, DType::f16, DType::bf16,
                               DType::i64, DType::i32, DType::u8,  DType::boolean};
  const std::vector<double> small{0, 1, 2, 3, 100, 0, 7};  // exact in every dtype but bool
  const std::vector<double> truth{0, 1, 1, 1, 1, 0, 1};
  for (const DType a : all)
    for (const DType b : all) {
      const Tensor from = strided_copy_of(from_values({7}, small, {a}));
      Tensor to = empty({7}, {b});
      strided_copy(from, to);
      const bool boolean = a == DType::boolean || b == DType::boolean;
      CAPTURE(a, b);
      CHECK(values(to) == (boolean ? truth : small));
    }
}

TEST_CASE("strided_copy: long rows and many rows are split over threads without a seam") {
  const Shape shape = GENERATE(Shape{100003}, Shape{32768}, Shape{32769}, Shape{65537, 3},
                               Shape{3, 65537}, Shape{1000, 17, 5});
  const Tensor x = random_tensor(shape, {DType::f64});
  const std::vector<double> expected = values(x);
  const int before = thread_count();
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    CHECK(values(strided_copy_of(x)) == expected);
    CHECK(elements(x.clone()) == expected);
    CHECK(close(x.to(DType::f32), expected, {.relative = 0x1p-24}));  // one rounding: half an ulp
    CHECK(same_bits(x.clone().transpose(0, -1).contiguous().transpose(0, -1), x));
  }
  set_thread_count(before);
}

}  // namespace fathom
