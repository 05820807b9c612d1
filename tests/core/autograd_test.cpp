#include "core/autograd.h"

#include "core/allocator.h"
#include "tests/testing.h"

namespace fathom {

// y = x^2, a small op for the tape's own tests.
static Tensor square(const Tensor& x) {
  std::vector<double> v = values(x);
  for (double& e : v) e *= e;
  return record(from_values(x.shape(), v, x.options()), {x}, [x](const Tensor& dy) -> Grads {
    std::vector<double> g = values(dy);
    const std::vector<double> v = values(x);
    for (size_t i = 0; i < g.size(); ++i) g[i] *= 2 * v[i];
    return {from_values(x.shape(), g, x.options())};
  });
}

static Tensor sum_of(const Tensor& a, const Tensor& b) {
  std::vector<double> v = values(a);
  const std::vector<double> w = values(b);
  for (size_t i = 0; i < v.size(); ++i) v[i] += w[i];
  return record(from_values(a.shape(), v, a.options()), {a, b}, [](const Tensor& dy) -> Grads {
    return {dy, dy};
  });
}

TEST_CASE("autograd: a value used twice receives both gradients") {
  Tensor x = from_values({3}, {1, 2, 3}, {DType::f64}).set_requires_grad();
  const Tensor y = sum_of(square(x), square(square(x)));  // x^2 + x^4
  backward(y, from_values({3}, {1, 1, 1}, {DType::f64}));
  CHECK(close(x.grad(), std::vector<double>{2 + 4, 4 + 32, 6 + 108}, {}));
}

TEST_CASE("autograd: gradients accumulate over calls, and handles keep their values") {
  Tensor x = from_values({2}, {1, -2}, {DType::f64}).set_requires_grad();
  const Tensor one = full({2}, 1, {DType::f64});
  backward(square(x), one);
  const Tensor first = x.grad();
  backward(square(x), one);
  CHECK(close(x.grad(), std::vector<double>{4, -8}, {}));
  CHECK(close(first, std::vector<double>{2, -4}, {}));
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("autograd: shared gradients are never changed in place") {
  Tensor a = from_values({1}, {1}).set_requires_grad(),
         b = from_values({1}, {1}).set_requires_grad();
  backward(sum_of(sum_of(a, b), a));  // sum_of hands the same dy to both inputs
  CHECK(a.grad().item() == 2);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("autograd: views and copies carry gradients") {
  const auto f = [](const Inputs& in) {
    const Tensor joined = concat(std::vector<Tensor>{in[0], in[1].transpose(0, 1)}, 1);
    return square(joined.narrow(1, 1, 3).transpose(0, 1).contiguous().view({6}));
  };
  CHECK(gradcheck(f, {random_tensor({2, 3}, {DType::f64}), random_tensor({2, 2}, {DType::f64})}));
}

TEST_CASE("autograd: conversion rounds gradients to the input's dtype") {
  Tensor x = from_values({1}, {3}, {DType::bf16}).set_requires_grad();
  backward(square(x.to(DType::f32)));
  CHECK(x.grad().dtype() == DType::bf16);
  CHECK(x.grad().item() == 6);
}

// y = 3 x, whose adjoint adds on the way and counts how often it was given something to add to.
static Tensor triple(const Tensor& x, int* given) {
  std::vector<double> v = values(x);
  for (double& e : v) e *= 3;
  return record_onto(from_values(x.shape(), v, x.options()), {x},
                     [x, given](const Tensor& dy, const Tensor& collected) -> Grads {
                       std::vector<double> g = values(dy);
                       for (double& e : g) e *= 3;
                       if (collected.defined()) {
                         ++*given;
                         const std::vector<double> so_far = values(collected);
                         for (size_t i = 0; i < g.size(); ++i) g[i] += so_far[i];
                       }
                       return {from_values(x.shape(), g, x.options())};
                     });
}

TEST_CASE("autograd: an adjoint that adds on the way is given what was collected before it") {
  const Tensor one = full({2}, 1, {DType::f64});
  const auto gradient = [&](auto f, int& given) {
    given = 0;
    Tensor x = from_values({2}, {1, -2}, {DType::f64}).set_requires_grad();
    backward(f(x), one);
    return values(x.grad());
  };
  int given = 0;
  // A residual stream: what goes past the op is there before the op's own.
  const auto past = [&](const Tensor& x) {
    const Tensor a = square(x);
    return sum_of(a, triple(a, &given));  // 4 x^2
  };
  CHECK(gradient(past, given) == std::vector<double>{8, -16});
  CHECK(given == 1);
  // The op comes last, so nothing was collected; its gradient is added to as any other.
  const auto last = [&](const Tensor& x) {
    const Tensor a = square(x), b = sum_of(a, a);
    return sum_of(triple(a, &given), b);  // 5 x^2
  };
  CHECK(gradient(last, given) == std::vector<double>{10, -20});
  CHECK(given == 0);
  // A leaf collects over calls, outside the walk.
  const auto leaf = [&](const Tensor& x) { return sum_of(x, triple(x, &given)); };
  CHECK(gradient(leaf, given) == std::vector<double>{4, 4});
  CHECK(given == 0);
}

TEST_CASE("autograd: NoGrad records nothing") {
  Tensor x = from_values({1}, {3}).set_requires_grad();
  const NoGrad no_grad;
  CHECK_FALSE(square(x).requires_grad());
}

TEST_CASE("autograd: a graph of 200,000 ops is walked and dropped without recursion") {
  Tensor x = from_values({1}, {1}).set_requires_grad();
  const auto chain = [&] {
    Tensor y = x;
    for (int i = 0; i < 200000; ++i) y = y.clone();
    return y;
  };
  backward(chain());
  CHECK(x.grad().item() == 1);
  chain();  // dropped without a walk
}

TEST_CASE("autograd: the walk frees what it has passed") {
  const int64_t before = allocator::statistics().current_bytes;
  Tensor x = full({1 << 16}, 1).set_requires_grad();
  Tensor y = square(square(square(x)));
  backward(y, full({1 << 16}, 1));
  // Left: x, its gradient, y.
  CHECK(allocator::statistics().current_bytes - before == 3 * (1 << 18));
  CHECK_THROWS_WITH(backward(y, full({1 << 16}, 1)), Catch::Contains("walked already"));
}

TEST_CASE("autograd: checkpoint gives the same gradients and keeps only its inputs") {
  Tensor x = random_tensor({64}, {DType::f64}).set_requires_grad();
  Tensor w = random_tensor({64}, {DType::f64}, 2).set_requires_grad();
  const Tensor dy = random_tensor({64}, {DType::f64}, 3);
  const auto f = [w](std::span<const Tensor> in) {
    return square(sum_of(square(in[0]), square(w)));
  };
  backward(f(std::vector<Tensor>{x}), dy);
  const Tensor gx = x.grad(), gw = w.grad();
  x.clear_grad();
  w.clear_grad();
  const int64_t before = allocator::statistics().current_bytes;
  const Tensor y = checkpoint(f, {x});
  CHECK(allocator::statistics().current_bytes - before <= 2 * y.bytes());
  backward(y, dy);
  CHECK(same_bits(x.grad(), gx));
  CHECK(same_bits(w.grad(), gw));
}

TEST_CASE("autograd: says what is wrong") {
  const Tensor x = full({2}, 1);
  CHECK_THROWS_WITH(backward(x), Catch::Contains("nothing to differentiate"));
  Tensor leaf = full({2}, 1).set_requires_grad();
  CHECK_THROWS_WITH(backward(square(leaf)), Catch::Contains("give its gradient"));
  CHECK_THROWS_WITH(backward(square(leaf), full({3}, 1)), Catch::Contains("dy is f32 [3]"));
  CHECK_THROWS_WITH(full({1}, 1, {DType::i64}).set_requires_grad(),
                    Catch::Contains("no gradients"));
}

}  // namespace fathom
