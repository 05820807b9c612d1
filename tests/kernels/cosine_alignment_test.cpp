#include "kernels/cosine_alignment.h"

#include <cmath>
#include <limits>

#include "tests/kernels/drawn.h"
#include "tests/kernels/loss_values.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

namespace {

// The tokens of tests/reference/losses.py: two of the teacher's are near the student's.
struct Tokens {
  Tensor student, teacher;
};
Tokens tokens() {
  const Tensor student = drawn(4, {2, 5, 6}, -0.375);
  std::vector<double> teacher = values(drawn(5, {2, 5, 6}, -0.375));
  const std::vector<double> f = values(student);
  for (size_t c = 0; c < 6; ++c) {
    teacher[c] = 2 * f[c];
    teacher[(5 + 2) * 6 + c] = f[(5 + 2) * 6 + c] + 0.0625 * teacher[(5 + 2) * 6 + c];
  }
  return {student, from_values({2, 5, 6}, teacher, {DType::f64})};
}

}  // namespace

TEST_CASE("cosine_alignment: equals PyTorch") {
  const auto [student, teacher] = tokens();
  const auto f = [&](const Tensor& x) { return cosine_alignment(x, teacher).loss; };
  CHECK(close(f(student), torch_values::kCosine, {.relative = 1e-14}));
  CHECK(values(cosine_alignment(student, teacher).kept) == std::vector<double>{4, 4});
  CHECK(close(gradient_of(f, student, {1, 0.5}), torch_values::kCosineGrad,
              {.absolute = 1e-15, .relative = 1e-13}));
}

TEST_CASE("cosine_alignment: divided by all tokens, it is the paper's average") {
  const auto [student, teacher] = tokens();
  const Tensor all = cosine_alignment(student, teacher, {.divide_by_kept = false}).loss;
  std::vector<double> expected = torch_values::kCosine;
  for (double& v : expected) v *= 4.0 / 5;
  CHECK(close(all, expected, {.relative = 1e-14}));
}

TEST_CASE("cosine_alignment: by hand") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  const Tensor f = from_values({1, 1, 2}, {2, 0}, {dtype});
  const auto results = [&](const Tensor& g) {
    return output_and_grads([&](const Inputs& in) { return cosine_alignment(in[0], g).loss; }, {f});
  };
  const auto same = results(f);  // above the margin
  CHECK(values(same[0]) == std::vector<double>{0});
  CHECK(values(same[1]) == std::vector<double>{0, 0});
  CHECK(same[1].dtype() == dtype);
  CHECK(cosine_alignment(f, from_values({1, 1, 2}, {0, 3}, {dtype})).loss.item() == 1);
  CHECK(cosine_alignment(f, from_values({1, 1, 2}, {-1, 0}, {dtype})).loss.item() == 2);
  const auto kept = [&](std::initializer_list<double> g, double margin) {
    return cosine_alignment(f, from_values({1, 1, 2}, g, {dtype}), {.margin = margin}).kept.item();
  };
  CHECK(kept({3, 4}, 0.59) == 0);
  CHECK(kept({3, 4}, 0.61) == 1);
  CHECK(kept({0, 3}, 0) == 1);  // at the margin itself
}

TEST_CASE("cosine_alignment: gradients match central differences") {
  // Margins between which no cosine lies, so that no token comes or goes.
  const auto [student, teacher_ref] = tokens();
  const Tensor teacher = teacher_ref;
  for (const bool by_kept : {true, false})
    CHECK(gradcheck(
        [&](const Inputs& in) {
          return cosine_alignment(in[0], teacher, {.divide_by_kept = by_kept}).loss;
        },
        {student}));
}

TEST_CASE("cosine_alignment: every type agrees with f64") {
  const TensorOptions options =
      GENERATE(from_range(test_options({DType::f32, DType::bf16, DType::f16})));
  const DType dtype = options.dtype;
  const Shape shape = GENERATE(Shape{2, 37, 384}, Shape{1, 5, 6, 67});
  CAPTURE(options, shape);
  const Tensor f = random_tensor(shape, options), g = random_tensor(shape, options, 2);
  const auto results = [](const Tensor& f, const Tensor& g) {
    return output_and_grads([&](const Inputs& in) { return cosine_alignment(in[0], g).loss; }, {f});
  };
  const auto actual = results(f, g),
             exact = results(f.to(kCpu).to(DType::f64), g.to(kCpu).to(DType::f64));
  // Three sums of C products in 16 lanes, relative to |f||g|: sqrt(24) roundings each.
  CHECK(actual[0].dtype() == DType::f32);
  CHECK(close(actual[0], values(exact[0]), {.absolute = 32 * epsilon(DType::f32)}));
  // Gradients are about 1 / (T sqrt(C)), and rounded once.
  CHECK(close(actual[1], values(exact[1]),
              {.absolute = epsilon(DType::f32), .relative = 2 * epsilon(dtype)}));
}

TEST_CASE("cosine_alignment: no direction, no gradient but the clamped one; a NaN shows") {
  const Tensor g = from_values({1, 2, 2}, {0, 1, 1, 0});
  const auto results = output_and_grads(
      [&](const Inputs& in) { return cosine_alignment(in[0], g).loss; }, {zeros({1, 2, 2})});
  CHECK(values(results[0]) == std::vector<double>{1});
  for (const double v : values(results[1])) CHECK(std::isfinite(v));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor bad = from_values({1, 2, 2}, {nan, 1, 1, 0});
  CHECK(std::isnan(cosine_alignment(bad, g).loss.item()));
}

TEST_CASE("cosine_alignment: a view without the class token") {
  const Tensor f = random_tensor({2, 5, 8}), g = random_tensor({2, 5, 8}, {}, 2);
  CHECK(same_bits(
      cosine_alignment(f.narrow(1, 1, 4), g.narrow(1, 1, 4)).loss,
      cosine_alignment(f.narrow(1, 1, 4).contiguous(), g.narrow(1, 1, 4).contiguous()).loss));
}

TEST_CASE("cosine_alignment: threads do not change the bits") {
  const Tensor f = random_tensor({2, 137, 67}), g = random_tensor({2, 137, 67}, {}, 2);
  CHECK(same_bits_with_any_threads([&] {
    return output_and_grads([&](const Inputs& in) { return cosine_alignment(in[0], g).loss; }, {f});
  }));
}

TEST_CASE("cosine_alignment: says what is wrong") {
  CHECK_THROWS_WITH(cosine_alignment(full({1, 2, 3}, 1), full({1, 2, 4}, 1)),
                    Catch::Contains("project the student"));
}

}  // namespace fathom
