#include "core/colormap.h"

#include <cmath>

#include "tests/testing.h"

namespace fathom {

// FNV-1a over all bytes of a table.
static uint64_t fingerprint(const std::array<Rgb, 256>& table) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const Rgb& rgb : table)
    for (const uint8_t value : rgb) hash = (hash ^ value) * 0x100000001b3u;
  return hash;
}

TEST_CASE("colormap: the tables are those of OpenCV and matplotlib") {
  // From cv2.applyColorMap (5.0.0) and matplotlib 3.11 colormaps[...] * 255 as uint8.
  CHECK(fingerprint(color_table(ColorMap::inferno)) == 0x0c171f8959472839u);
  CHECK(fingerprint(color_table(ColorMap::spectral_r)) == 0xe35b0dc8148ec129u);
  CHECK(fingerprint(color_table(ColorMap::spectral)) == 0x118052192865c237u);
  CHECK(color_table(ColorMap::inferno)[128] == Rgb{0xbc, 0x37, 0x54});
  CHECK(color_table(ColorMap::spectral_r)[0] == Rgb{0x5e, 0x4f, 0xa2});
  CHECK(color_table(ColorMap::spectral_r)[68] == Rgb{0x94, 0xd4, 0xa4});  // on an integer
  CHECK(color_table(ColorMap::spectral_r)[255] == Rgb{0x9e, 0x01, 0x42});
}

TEST_CASE("colormap: indices are truncated, ends are limits") {
  const auto index = [](float value) {
    const Image8 image = colorize(FloatMap{1, 1, {value}}, 0, 255, ColorMap::inferno);
    const Rgb color = {image.pixels[0], image.pixels[1], image.pixels[2]};
    const auto& table = color_table(ColorMap::inferno);
    return int(std::find(table.begin(), table.end(), color) - table.begin());
  };
  CHECK(index(0) == 0);
  CHECK(index(7.99f) == 7);
  CHECK(index(8) == 8);
  CHECK(index(254.9f) == 254);
  CHECK(index(255) == 255);
  CHECK(index(-10) == 0);
  CHECK(index(1e30f) == 255);
  CHECK(index(INFINITY) == 255);
  CHECK(index(NAN) == 0);
}

TEST_CASE("colormap: a constant map has the first colour") {
  const Image8 image = colorize(FloatMap{1, 2, {3, 3}}, 3, 3, ColorMap::spectral_r);
  CHECK(image.pixels == std::vector<uint8_t>{0x5e, 0x4f, 0xa2, 0x5e, 0x4f, 0xa2});
}

TEST_CASE("colormap: the range skips what is not finite") {
  const Range range = finite_range(FloatMap{1, 5, {2, NAN, -INFINITY, -1, INFINITY}});
  CHECK(range.low == -1);
  CHECK(range.high == 2);
  CHECK(finite_range(FloatMap{1, 1, {NAN}}).high == 0);
}

TEST_CASE("colormap: photo and map stand side by side with a white gap of 50 pixels") {
  const Image8 photo{2, 1, 3, {1, 2, 3, 4, 5, 6}}, colored{2, 1, 3, {7, 8, 9, 10, 11, 12}};
  const Image8 both = side_by_side(photo, colored);
  CHECK(both.height == 2);
  CHECK(both.width == 52);
  REQUIRE(both.pixels.size() == 2 * 52 * 3);
  for (size_t i = 3; i < 153; ++i) REQUIRE(both.pixels[i] == 255);
  CHECK(both.pixels[0] == 1);
  CHECK(both.pixels[153] == 7);
  CHECK(both.pixels[156] == 4);
  CHECK(both.pixels[311] == 12);
  CHECK_THROWS_WITH(side_by_side(photo, Image8{1, 1, 3, {0, 0, 0}}),
                    Catch::Contains("the photo has 2 rows, the coloured map 1"));
}

TEST_CASE("colormap: a range upside down is refused") {
  CHECK_THROWS_WITH(colorize(FloatMap{1, 1, {0}}, 2, 1, ColorMap::inferno),
                    Catch::Contains("must be ascending, but is 2 to 1"));
}

}  // namespace fathom
