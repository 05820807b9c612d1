#include "core/png.h"

#include <cmath>
#include <limits>

#include "core/file.h"
#include "tests/pictures.h"
#include "tests/scratch.h"
#include "tests/testing.h"

namespace fathom {

namespace {
// A file that is removed at the end of the test.
struct Scratch {
  ScratchFolder folder;
  std::filesystem::path path;
  explicit Scratch(const char* name) : folder(name), path(folder.path / name) {}
};
}  // namespace

TEST_CASE("png: 8-bit pictures survive a round trip") {
  if (!built_with_png()) return;
  const Scratch file("fathom_png_test_8.png");
  for (const int width : {1, 7, 640}) {
    Image8 image{.height = 5, .width = width};
    for (int i = 0; i < 15 * width; ++i) image.pixels.push_back(uint8_t(i * 37 + i / 7));
    write_png(file.path, image);
    const Image8 again = read_image(file.path);
    CHECK(again.height == 5);
    CHECK(again.width == width);
    CHECK((again.pixels == image.pixels));
  }
}

TEST_CASE("png: all 16 bits survive a round trip") {
  if (!built_with_png()) return;
  const Scratch file("fathom_png_test_16.png");
  Image16 image{.height = 257, .width = 255};
  for (int i = 0; i < 257 * 255; ++i) image.pixels.push_back(uint16_t(i + i / 65535 * 40000));
  image.pixels.back() = 65535;
  write_png(file.path, image);
  const Image16 again = read_image16(file.path);
  CHECK(again.bits == 16);
  CHECK((again.pixels == image.pixels));
  // Signature, IHDR: 255 x 257, 16 bits, grey, not interlaced.
  const std::string header("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\xff\0\0\x01\x01\x10\0\0\0\0", 29);
  CHECK((read_text(file.path).substr(0, 29) == header));
}

TEST_CASE("png: the full range reaches both ends and comes back within half a step") {
  const FloatMap map{2, 3, {-3.5f, 0, 1e-3f, 2, 7.25f, 100}};
  const StoredScale scale = full_range(map);
  CHECK(scale.offset == -3.5);
  const StoredMap stored = store(map, scale);
  CHECK(stored.clipped == 0);
  CHECK(stored.image.pixels.front() == 0);
  CHECK(stored.image.pixels.back() == 65535);
  const FloatMap again = restore(stored.image, scale);
  // Half a step, and the rounding of a value near 100 to float, 4e-6.
  for (size_t i = 0; i < 6; ++i)
    CHECK(std::abs(again.values[i] - map.values[i]) <= scale.scale / 2 + 4e-6);
}

TEST_CASE("png: values that do not fit are limited and counted") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const FloatMap map{1, 7, {1.2345f, 0, 65.6f, -1, NAN, kInfinity, -kInfinity}};
  const StoredMap stored = store(map, kMillimetres);
  CHECK(stored.image.pixels == std::vector<uint16_t>{1235, 0, 65535, 0, 0, 65535, 0});
  CHECK(stored.clipped == 5);
  CHECK(store(FloatMap{1, 1, {1.2345f}}, kKittiDepth).image.pixels[0] ==
        316);  // 1.2345 * 256 = 316.03
}

TEST_CASE("png: constant and empty maps have a range too") {
  const FloatMap flat{1, 3, {4, 4, NAN}};
  const StoredMap stored = store(flat, full_range(flat));
  CHECK(stored.image.pixels == std::vector<uint16_t>{0, 0, 0});
  CHECK(restore(stored.image, full_range(flat)).values[0] == 4);
  CHECK(full_range(FloatMap{1, 1, {NAN}}).offset == 0);
}

TEST_CASE("png: says what is wrong") {
  CHECK_THROWS_WITH(write_png("/nowhere/x.png", Image16{1, 1, 16, {7}}),
                    Catch::Contains(can_write_png() ? "/nowhere/x.png: cannot write"
                                                    : "/nowhere/x.png: this build has no libpng"));
  CHECK_THROWS_WITH(write_png("x.png", Image8{2, 2, 3, {1, 2, 3}}),
                    Catch::Contains("2 x 2 has 3 bytes"));
  CHECK_THROWS_WITH(store(FloatMap{1, 2, {1}}, kMillimetres),
                    Catch::Contains("1 x 2 needs as many values, but has 1"));
  CHECK_THROWS_WITH(store(FloatMap{1, 1, {1}}, {.scale = 0}),
                    Catch::Contains("scale must be positive"));
}

}  // namespace fathom
