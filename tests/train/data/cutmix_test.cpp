#include "train/data/cutmix.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

TEST_CASE("cutmix: boxes lie inside, with UniMatch's areas, half of the time") {
  int boxes = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    const CutMixBox box = draw_cutmix_box(518, {}, {1, 0, i});
    if (box.height == 0) continue;
    ++boxes;
    CHECK(box.top >= 0);
    CHECK(box.left >= 0);
    CHECK(box.top + box.height <= 518);
    CHECK(box.left + box.width <= 518);
    const double share = double(box.height * box.width) / (518.0 * 518);
    // Both sides are cut to whole pixels, of at least sqrt(0.02 * 0.3) * 518 = 40.
    CHECK(share > 0.02 * (39.0 / 40) * (39.0 / 40));
    CHECK(share <= 0.4);
    const double ratio = double(box.height) / double(box.width);
    CHECK(ratio > 0.3 * 39 / 40);
    CHECK(ratio < 40.0 / 39 / 0.3);
  }
  CHECK(std::abs(boxes - 500) < 80);  // five standard deviations of 16
  AugmentSection full;
  full.cutmix_area_min = full.cutmix_area_max = 0.9;
  full.cutmix = 1;
  CHECK(draw_cutmix_box(14, full, {1, 0, 0}).height > 0);
}

TEST_CASE("cutmix: the partner is the next sample of the batch, in images and maps alike") {
  const Tensor inside = from_values({2, 1, 2}, {1, 0, 0, 1}, {DType::boolean});
  const Tensor image = from_values({2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(values(paste_partner(image, inside)) == std::vector<double>{5, 6, 3, 4, 5, 6, 3, 4});
  CHECK(values(image) == std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor map = from_values({2, 1, 2}, {1, 2, 3, 4});
  CHECK(values(paste_partner(map, inside)) == std::vector<double>{3, 2, 3, 2});
  const Tensor mask = from_values({2, 1, 2}, {1, 1, 0, 0}, {DType::boolean});
  CHECK(values(paste_partner(mask, inside)) == std::vector<double>{0, 1, 0, 1});
  CHECK_THROWS_WITH(paste_partner(map, map), Catch::Contains("needs a boolean region"));
}

TEST_CASE("cutmix: regions are the boxes of the samples") {
  const SampleId ids[] = {{1, 0, 0}, {1, 0, 1}, {1, 0, 2}};
  const std::vector<double> region = values(cutmix_regions(ids, 28, {}));
  for (size_t b = 0; b < 3; ++b) {
    const CutMixBox box = draw_cutmix_box(28, {}, ids[b]);
    for (int64_t y = 0; y < 28; ++y)
      for (int64_t x = 0; x < 28; ++x) {
        const bool expected =
            y >= box.top && y < box.top + box.height && x >= box.left && x < box.left + box.width;
        REQUIRE((region[(b * 28 + size_t(y)) * 28 + size_t(x)] != 0) == expected);
      }
  }
}

}  // namespace fathom
