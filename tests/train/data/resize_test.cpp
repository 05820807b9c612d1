#include "train/data/resize.h"

#include <cmath>

#include "models/preprocess.h"
#include "tests/testing.h"

namespace fathom {

static const std::filesystem::path kData = FATHOM_TEST_DATA;

TEST_CASE("resize: a window is that part of the picture the models see") {
  const Image8 photo = read_image(kData / "photos/chelsea.png");
  for (const int side : {98, 224, 518}) {
    const ImageSize full = input_size({photo.height, photo.width}, side);
    const std::vector<float> whole = preprocess(photo, full, kNoNormalization);
    for (const bool flip : {false, true}) {
      const CropWindow window{full, full.height - side, (full.width - side) / 2, side, side, flip};
      std::vector<float> crop(size_t(side * side * 3));
      resize_crop(photo, window, crop);
      double worst = 0;
      for (int64_t y = 0; y < side; ++y)
        for (int64_t x = 0; x < side; ++x)
          for (int64_t c = 0; c < 3; ++c) {
            const int64_t from = window.left + (flip ? side - 1 - x : x);
            const float expected = whole[size_t(((window.top + y) * full.width + from) * 3 + c)];
            const float ours = crop[size_t((y * side + x) * 3 + c)];
            worst = std::max(worst, std::abs(double(ours) - double(expected)));
          }
      // 16 products and their sums in float, of weights whose absolute sum is at most (1.3)^2
      // = 1.7: 8 roundings one after another on values up to 1.7, 8 * 1.7 * 2^-24 = 8e-7.
      CHECK(worst < 8e-7);
    }
  }
}

TEST_CASE("resize: labels take the nearest pixel, whatever their size") {
  const DepthMap map{2, 3, {1, 2, 3, 4, 5, 6}, {1, 0, 1, 1, 1, 0}};
  std::vector<float> values(8);
  auto mask = std::make_unique<bool[]>(8);
  // 2 x 3 to 4 x 6: index floor(i / 2); the window is rows 1, 2 and columns 1 to 4.
  resize_crop(map, {{4, 6}, 1, 1, 2, 4}, values, {mask.get(), 8});
  CHECK(values == std::vector<float>{1, 2, 2, 3, 4, 5, 5, 6});
  CHECK(std::vector<bool>(mask.get(), mask.get() + 8) == std::vector<bool>{1, 0, 0, 1, 1, 1, 1, 0});
  resize_crop(map, {{4, 6}, 1, 1, 2, 4, true}, values, {mask.get(), 8});
  CHECK(values == std::vector<float>{3, 2, 2, 1, 6, 5, 5, 4});
  // Down: floor(i * 1.5) = 0, 1.
  values.resize(2);
  resize_crop(map, {{1, 2}, 0, 0, 1, 2}, values, {mask.get(), 2});
  CHECK(values == std::vector<float>{1, 2});
}

TEST_CASE("resize: refuses windows outside of the picture") {
  const Image8 photo{1, 1, 3, {1, 2, 3}};
  std::vector<float> out(12);
  CHECK_THROWS_WITH(resize_crop(photo, {{2, 2}, 1, 0, 2, 2}, out),
                    Catch::Contains("(1, 0) of 2 x 2"));
  CHECK_THROWS_WITH(resize_crop(photo, {{2, 2}, 0, 0, 1, 2}, out),
                    Catch::Contains("into 4 pixels"));
}

}  // namespace fathom
