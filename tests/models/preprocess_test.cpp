#include "models/preprocess.h"

#include <cmath>

#include "core/npy.h"
#include "core/parallel.h"
#include "tests/testing.h"

namespace fathom {

static const std::filesystem::path kData = FATHOM_TEST_DATA;

TEST_CASE("preprocess: input sizes follow the reference's lower bound rule") {
  // Computed by the reference's Resize class.
  const std::pair<ImageSize, ImageSize> cases[] = {
      {{480, 640}, {518, 686}},   {{640, 480}, {686, 518}},   {{1080, 1920}, {518, 924}},
      {{2160, 3840}, {518, 924}}, {{375, 1242}, {518, 1722}}, {{352, 1216}, {518, 1792}},
      {{436, 1024}, {518, 1218}}, {{240, 320}, {518, 686}},   {{300, 200}, {784, 518}},
      {{256, 256}, {518, 518}},   {{74, 75}, {518, 532}},     {{74, 77}, {518, 532}},
      {{74, 79}, {518, 560}},     {{1300, 519}, {1302, 518}}, {{100, 1000}, {518, 5180}}};
  for (const auto& [photo, expected] : cases) {
    CAPTURE(photo.height, photo.width);
    CHECK(input_size(photo) == expected);
  }
}

TEST_CASE("preprocess: other targets round to multiples of 14 that are not below") {
  const std::pair<int, ImageSize> cases[] = {{500, {504, 672}},
                                             {700, {700, 938}},
                                             {770, {770, 1022}},
                                             {1000, {1008, 1330}},
                                             {1036, {1036, 1386}}};
  for (const auto& [target, expected] : cases) CHECK(input_size({480, 640}, target) == expected);
}

TEST_CASE("preprocess: the rule of Hugging Face changes the photo least") {
  const auto size = [](int64_t h, int64_t w) {
    return input_size({h, w}, 518, SizeRule::nearest_to_1);
  };
  CHECK(size(240, 320) == ImageSize{392, 518});
  CHECK(size(300, 200) == ImageSize{518, 350});
  // With both sides at or above the target both rules agree.
  CHECK(size(1080, 1920) == ImageSize{518, 924});
  CHECK(size(1300, 519) == ImageSize{1302, 518});
  // The exact rule would give a side of 0; it stays at one patch.
  CHECK(size(1, 300) == ImageSize{14, 518});
}

TEST_CASE("preprocess: extreme photos do not overflow") {
  CHECK(input_size({1, 200'000'000}) == ImageSize{518, 103'600'000'000});
  CHECK_THROWS_WITH(input_size({0, 5}), Catch::Contains("a photo of 0 x 5"));
  CHECK_THROWS_WITH(input_size({5, 5}, 13), Catch::Contains("at least 14, but is 13"));
}

// One row of grey values, resized along x, in units of the bytes.
static std::vector<double> resized_row(int64_t out) {
  Image8 photo{.height = 1, .width = 8};
  for (const uint8_t value : {0, 10, 20, 80, 30, 5, 7, 100})
    photo.pixels.insert(photo.pixels.end(), 3, value);
  const std::vector<float> resized = preprocess(photo, {1, out}, kNoNormalization);
  std::vector<double> row;
  for (int64_t x = 0; x < out; ++x) row.push_back(255.0 * resized[size_t(3 * x)]);
  return row;
}

TEST_CASE("preprocess: bicubic gives OpenCV's values, overshoot included") {
  const std::vector<double> expected[] = {
      {2.317495, 15.602486, 62.96875, 3.01749, 74.147457},
      {-0.762818, 4.947644, 10.987751, 22.520189, 73.188859, 62.96875, 19.768017, 5.753791,
       -5.208283, 44.237856, 107.094206},
      {7.69676, 62.96875, 20.520827}};
  for (const auto& want : expected) {
    const std::vector<double> row = resized_row(int64_t(want.size()));
    // The list has 6 decimals (5e-7); the output is float below 0.5: 255 * 2^-26 = 4e-6.
    for (size_t i = 0; i < want.size(); ++i) CHECK(std::abs(row[i] - want[i]) < 5e-6);
  }
}

TEST_CASE("preprocess: two axes agree with cv2.resize on a photo") {
  const Image8 photo = read_image(kData / "photos/chelsea.png");
  Image8 crop{.height = 12, .width = 9};
  for (int y = 0; y < 12; ++y)
    crop.pixels.insert(crop.pixels.end(), photo.pixels.begin() + y * photo.width * 3,
                       photo.pixels.begin() + y * photo.width * 3 + 27);
  const auto worst = [](const Image8& image, ImageSize size, const char* name) {
    const std::vector<float> ours = preprocess(image, size, kNoNormalization);
    const FloatMap expected = read_npy(kData / "pictures" / name);
    REQUIRE(ours.size() == expected.values.size());
    double difference = 0;
    for (size_t i = 0; i < ours.size(); ++i)
      difference = std::max(difference, std::abs(double(ours[i]) - double(expected.values[i])));
    return difference;
  };
  // Both are doubles rounded to float: at most one unit in the last place of values below 2, twice
  // 2^-24, where the doubles lie on two sides of a tie.
  CHECK(worst(photo, {29, 43}, "chelsea_cubic_29x43.npy") <= 0x1p-23);
  CHECK(worst(crop, {41, 35}, "chelsea_crop_12x9_cubic_41x35.npy") <= 0x1p-23);
}

TEST_CASE("preprocess: normalisation is ImageNet's, channel by channel") {
  const Image8 photo{1, 1, 3, {0, 128, 255}};
  const std::vector<float> values = preprocess(photo, {14, 14});
  // One rounding of values below 4: 2^-23; the constants are exact in the expected expression.
  for (size_t i = 0; i < 14 * 14; ++i) {
    CHECK(std::abs(values[3 * i] - (0 - 0.485) / 0.229) < 0x1p-22);
    CHECK(std::abs(values[3 * i + 1] - (128 / 255.0 - 0.456) / 0.224) < 0x1p-22);
    CHECK(std::abs(values[3 * i + 2] - (1 - 0.406) / 0.225) < 0x1p-22);
  }
}

TEST_CASE("preprocess: the same size gives the photo back") {
  const Image8 photo = read_image(kData / "photos/chelsea.png");
  const std::vector<float> same = preprocess(photo, {photo.height, photo.width}, kNoNormalization);
  // The weights at t = 0 are exactly 0, 1, 0, 0; the scale of 1/255 costs a rounding.
  for (size_t i = 0; i < same.size(); ++i) REQUIRE(std::lround(same[i] * 255.0) == photo.pixels[i]);
}

TEST_CASE("preprocess: the number of threads does not change a bit") {
  const Image8 photo = read_image(kData / "photos/chelsea.png");
  const int threads = thread_count();
  set_thread_count(1);
  const std::vector<float> one = preprocess(photo, {518, 784});
  set_thread_count(3);
  const std::vector<float> three = preprocess(photo, {518, 784});
  set_thread_count(threads);
  CHECK((one == three));
}

TEST_CASE("preprocess: says what is wrong") {
  std::vector<float> out(5);
  const Image8 photo{1, 1, 3, {0, 128, 255}};
  CHECK_THROWS_WITH(preprocess(photo, {14, 14}, out),
                    Catch::Contains("must be [14, 14, 3], but has 5 elements"));
  CHECK_THROWS_WITH(preprocess(Image8{2, 1, 3, {0}}, {14, 14}),
                    Catch::Contains("2 x 1 has 1 bytes"));
}

}  // namespace fathom
