#include "kernels/masks.h"

#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"

namespace fathom {

static const DType kBool = DType::boolean;

TEST_CASE("masks: and, and not") {
  const Tensor a = from_values({2, 2}, {1, 1, 0, 0}, {kBool});
  const Tensor b = from_values({2, 2}, {1, 0, 1, 0}, {kBool});
  CHECK(values(mask_and(a, b)) == std::vector<double>{1, 0, 0, 0});
  CHECK(values(mask_and_not(a, b)) == std::vector<double>{0, 1, 0, 0});
  CHECK(values(mask_and(a, strided_copy_of(b))) == std::vector<double>{1, 0, 0, 0});
}

TEST_CASE("masks: whole images are dropped") {
  const Tensor mask = from_values({3, 2}, {1, 0, 1, 1, 0, 1}, {kBool});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  CHECK(values(mask_images(mask, from_values({3}, {1, 0, 0.5}, {dtype}))) ==
        std::vector<double>{1, 0, 0, 0, 0, 1});
}

TEST_CASE("masks: counts and shares over several pieces of an image") {
  const Tensor mask = drawn_mask(1, {3, 101, 203});
  const std::vector<double> kept = values(mask);
  std::vector<double> counts(3), shares(3);
  for (size_t i = 0; i < kept.size(); ++i) counts[i / (101 * 203)] += kept[i];
  for (size_t b = 0; b < 3; ++b) shares[b] = counts[b] / (101 * 203);
  CHECK(values(mask_count(mask)) == counts);
  CHECK(close(mask_fraction(mask, DType::f64), shares, {}));
  CHECK(close(mask_fraction(mask, DType::f32), shares, {.relative = epsilon(DType::f32)}));
  CHECK(same_bits_with_any_threads([&] { return std::vector<Tensor>{mask_count(mask)}; }));
}

TEST_CASE("masks: say what is wrong") {
  CHECK_THROWS_WITH(mask_and(all_of({2}), all_of({3})), Catch::Contains("of one shape"));
  CHECK_THROWS_WITH(mask_count(full({2}, 1)), Catch::Contains("must be boolean"));
  CHECK_THROWS_WITH(mask_images(all_of({2, 3}), full({3}, 1)), Catch::Contains("keep must be [2]"));
  CHECK_THROWS_WITH(check_masked("loss", full({2}, 1, {DType::bf16}), all_of({2})),
                    Catch::Contains("loss: losses are computed in f32 or f64, got bf16"));
  CHECK_THROWS_WITH(check_masked("loss", full({2}, 1), full({2}, 1, {DType::u8})),
                    Catch::Contains("mask must be boolean [2], but is u8 [2]"));
}

}  // namespace fathom
