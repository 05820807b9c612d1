#include "core/image.h"

#include <cmath>
#include <fstream>
#include <iostream>

#include "core/bytes.h"
#include "core/crc32.h"
#include "core/file.h"
#include "tests/pictures.h"
#include "tests/testing.h"

namespace fathom {

static const std::filesystem::path kData = FATHOM_TEST_DATA;

static std::string content(const std::filesystem::path& path) { return read_text(path); }

static Image8 decode(const std::string& file, const ImageOptions& options = {}) {
  return read_image(std::as_bytes(std::span(file)), "test", options);
}

static ImageSize size_of_picture(const std::string& file, const ImageOptions& options = {}) {
  return read_image_size(std::as_bytes(std::span(file)), "test", options);
}

// tests/data/README.md: r = 40y + 3, g = 30x + 5, b = 10x + 20y.
static std::vector<uint8_t> expected_rgb() {
  std::vector<uint8_t> rgb;
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x)
      for (const int value : {40 * y + 3, 30 * x + 5, 10 * x + 20 * y})
        rgb.push_back(uint8_t(value));
  return rgb;
}

static std::vector<uint8_t> expected_grey_rgb() {
  std::vector<uint8_t> rgb;
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x) rgb.insert(rgb.end(), 3, uint8_t(30 * x + 10 * y));
  return rgb;
}

TEST_CASE("image: every encoding of a picture gives its pixels") {
  const std::string name = GENERATE("rgb.png", "rgb_interlaced.png", "rgba.png", "palette.png",
                                    "rgb16.png", "rgb.bmp", "rgb.tga", "rgb_rle.tga", "rgb.ppm");
  CAPTURE(name);
  const Image8 image = read_image(kData / "pictures" / name);
  CHECK(image.height == 5);
  CHECK(image.width == 7);
  CHECK(image.channels == 3);
  CHECK(image.pixels == expected_rgb());
  CHECK(read_image_size(kData / "pictures" / name) == ImageSize{5, 7});
}

TEST_CASE("image: grey becomes RGB and alpha is dropped") {
  const std::string name = GENERATE("grey.png", "grey_alpha.png", "grey.bmp", "grey.pgm");
  CAPTURE(name);
  CHECK(read_image(kData / "pictures" / name).pixels == expected_grey_rgb());
}

TEST_CASE("image: 16-bit maps keep their values") {
  const std::string name = GENERATE("grey16.png", "grey16.pgm");
  CAPTURE(name);
  const Image16 map = read_image16(kData / "pictures" / name);
  CHECK(map.bits == 16);
  REQUIRE(map.pixels.size() == 35);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x) CHECK(map.pixels[size_t(7 * y + x)] == 1000 * y + 9000 * x + 7);
  // As a photo, the high byte alone.
  const Image8 photo = read_image(kData / "pictures" / name);
  for (size_t i = 0; i < 35; ++i) CHECK(photo.pixels[3 * i + 1] == map.pixels[i] >> 8);
}

TEST_CASE("image: 8-bit maps are not stretched to 16 bits") {
  const std::string name = GENERATE("grey.png", "grey_alpha.png", "grey.bmp", "grey.pgm");
  CAPTURE(name);
  const Image16 map = read_image16(kData / "pictures" / name);
  CHECK(map.bits == 8);
  REQUIRE(map.pixels.size() == 35);
  CHECK(map.pixels[7 * 3 + 5] == 30 * 5 + 10 * 3);
}

TEST_CASE("image: a coloured file is not a map") {
  CHECK_THROWS_WITH(read_image16(kData / "pictures/rgb.png"),
                    Catch::Contains("rgb.png: a map of one channel") &&
                        Catch::Contains("pixel 0 is coloured (3, 5, 0)"));
}

TEST_CASE("image: PNM maxima other than 255 are scaled") {
  const Image8 image = decode("P5 # comment\n2 1\n# another\n15\n\x05\x0f");
  CHECK(image.pixels == std::vector<uint8_t>{85, 85, 85, 255, 255, 255});
}

// A file without EXIF, with an orientation put in as its first segment.
static std::string oriented(const std::string& jpeg, char orientation) {
  const std::string tiff = std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19) +
                           orientation + std::string(6, '\0');
  const std::string segment = std::string("Exif\0\0", 6) + tiff;
  return jpeg.substr(0, 2) + "\xff\xe1" + std::string(1, '\0') + char(segment.size() + 2) +
         segment + jpeg.substr(2);
}

// Turned and mirrored step by step: definitions that share nothing with the reader's strides.
static Image8 mirrored(const Image8& image) {
  Image8 result = image;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < 3; ++c)
        result.pixels[size_t((y * image.width + x) * 3 + c)] =
            image.pixels[size_t((y * image.width + image.width - 1 - x) * 3 + c)];
  return result;
}

static Image8 turned_clockwise(const Image8& image) {
  Image8 result{.height = image.width, .width = image.height};
  result.pixels.resize(image.pixels.size());
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x)
      for (int c = 0; c < 3; ++c)
        result.pixels[size_t((y * result.width + x) * 3 + c)] =
            image.pixels[size_t(((image.height - 1 - x) * image.width + y) * 3 + c)];
  return result;
}

TEST_CASE("image: all eight EXIF orientations come out upright") {
  if (!built_with_jpeg()) return;
  const std::string jpeg = content(kData / "photos/rocket.jpg");
  const Image8 plain = decode(jpeg);
  REQUIRE(plain.height == 427);
  REQUIRE(plain.width == 640);
  const Image8 half = turned_clockwise(turned_clockwise(plain));
  const Image8 expected[] = {plain,
                             mirrored(plain),
                             half,
                             mirrored(half),
                             turned_clockwise(mirrored(half)),
                             turned_clockwise(plain),
                             turned_clockwise(mirrored(plain)),
                             turned_clockwise(half)};
  for (char orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(int(orientation));
    const std::string file = oriented(jpeg, orientation);
    const Image8& want = expected[orientation - 1];
    CHECK(size_of_picture(file) == ImageSize{want.height, want.width});
    const Image8 image = decode(file);
    REQUIRE(image.height == want.height);
    REQUIRE(image.width == want.width);
    CHECK((image.pixels == want.pixels));
  }
}

TEST_CASE("image: an upright photo stays within the size its header gives") {
  if (!built_with_jpeg()) return;
  CHECK(read_image_size(kData / "photos/exif_Portrait_5.jpg") == ImageSize{1800, 1200});
  const Image8 image = read_image(kData / "photos/exif_Portrait_5.jpg");
  CHECK(image.height == 1800);
  CHECK(image.width == 1200);
}

// The means of a grid of 8 x 8 cells: the same for the same photo, whatever its encoding.
static std::vector<double> thumbnail(const Image8& image) {
  std::vector<double> sums(64 * 3), counts(64 * 3);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < 3; ++c) {
        const size_t cell = size_t((y * 8 / image.height * 8 + x * 8 / image.width) * 3 + c);
        sums[cell] += image.pixels[size_t((y * image.width + x) * 3 + c)];
        ++counts[cell];
      }
  for (size_t i = 0; i < sums.size(); ++i) sums[i] /= counts[i];
  return sums;
}

TEST_CASE("image: small JPEGs of every kind show their gradient") {
  if (!built_with_jpeg()) return;
  // r = 10y + 3, g = 6x + 5, b = 4x + 4y, 35 x 21; compressed, so near that only.
  for (const char* name : {"gradient.jpg", "gradient_progressive.jpg", "gradient_cmyk.jpg"}) {
    CAPTURE(name);
    const Image8 image = read_image(kData / "pictures" / name);
    REQUIRE(image.height == 21);
    REQUIRE(image.width == 35);
    int worst = 0;
    for (int y = 0; y < 21; ++y)
      for (int x = 0; x < 35; ++x) {
        const uint8_t* rgb = &image.pixels[size_t((y * 35 + x) * 3)];
        worst = std::max({worst, std::abs(rgb[0] - (10 * y + 3)), std::abs(rgb[1] - (6 * x + 5)),
                          std::abs(rgb[2] - (4 * x + 4 * y))});
      }
    CHECK(worst <= 8);  // what libjpeg's own encoder loses here at quality 80
  }
  CHECK(read_image_size(kData / "pictures/gradient_exif6.jpg") == ImageSize{35, 21});
  CHECK(read_image16(kData / "pictures/gradient_grey.jpg").bits == 8);
}

TEST_CASE("image: real photos of every orientation show the same picture") {
  if (!built_with_jpeg()) return;
  const std::filesystem::path shared = shared_data();
  if (shared.empty()) return;
  const std::vector<std::vector<std::string>> groups = {
      {"exif_Landscape_1", "exif_Landscape_3", "exif_Landscape_6", "exif_Landscape_8"},
      {"exif_Portrait_2", "exif_Portrait_5"}};
  for (const auto& group : groups) {
    const Image8 first = read_image(shared / "photos" / (group[0] + ".jpg"));
    const std::vector<double> cells = thumbnail(first);
    for (const std::string& name : group) {
      CAPTURE(name);
      const Image8 image = read_image(shared / "photos" / (name + ".jpg"));
      CHECK(image.height == first.height);
      CHECK(image.width == first.width);
      const std::vector<double> other = thumbnail(image);
      // Each file carries its own number and was compressed on its own: the cells differ by less
      // than 1 level on average. Any wrong turn differs by more than 20.
      double difference = 0;
      for (size_t i = 0; i < cells.size(); ++i) difference += std::abs(cells[i] - other[i]);
      CHECK(difference / double(cells.size()) < 2);
    }
  }
}

TEST_CASE("image: every real photo is read or refused in words") {
  if (!built_with_jpeg()) return;
  const std::filesystem::path shared = shared_data();
  if (shared.empty()) return;
  int read = 0;
  for (const char* folder : {"photos", "pairs", "formats"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(shared / folder)) {
      if (!entry.is_regular_file()) continue;
      CAPTURE(entry.path());
      try {
        const ImageSize size = read_image_size(entry.path());
        const Image8 image = read_image(entry.path());
        CHECK(size == ImageSize{image.height, image.width});
        CHECK(image.pixels.size() == size_t(size.height * size.width * 3));
        ++read;
      } catch (const Error& error) {
        CHECK(std::string(folder) != "photos");
        CHECK_THAT(error.what(), Catch::StartsWith(entry.path().string() + ": "));
        CHECK_THAT(entry.path().extension().string(), !Catch::Matches(R"(\.(png|jpg|pgm))"));
      }
    }
  }
  CHECK(read >= 27);
}

TEST_CASE("image: a real CMYK photo is converted as OpenCV does") {
  if (!built_with_jpeg()) return;
  const std::filesystem::path shared = shared_data();
  if (shared.empty()) return;
  const Image8 image = read_image(shared / "photos/odd_cmyk.jpg");
  CHECK(image.height == 333);
  CHECK(image.width == 500);
  // The mean that cv2.imread gives; inks taken the wrong way round would give a negative.
  double mean = 0;
  for (const uint8_t value : image.pixels) mean += value;
  CHECK(mean / double(image.pixels.size()) == Approx(117.80).epsilon(0.01));
}

TEST_CASE("image: damaged JPEG is refused, a missing end marker alone is not") {
  if (!built_with_jpeg()) return;
  const std::string jpeg = content(kData / "photos/rocket.jpg");
  REQUIRE(jpeg.ends_with("\xff\xd9"));
  const std::string no_end = jpeg.substr(0, jpeg.size() - 2);
  CHECK((decode(no_end).pixels == decode(jpeg).pixels));
  std::string broken = jpeg;
  broken.replace(60'000, 2, "\xff\xd9");  // an end marker halfway
  CHECK_THROWS_WITH(decode(broken), Catch::Contains("test: the JPEG is damaged"));
  const std::string progressive = content(kData / "photos/street.jpg");
  CHECK_THROWS_WITH(decode(progressive.substr(0, progressive.size() - 2)),
                    Catch::Contains("premature end of a progressive file"));
  CHECK_THROWS_WITH(decode(progressive.substr(0, progressive.size() / 2)),
                    Catch::Contains("test: the JPEG is damaged"));
  CHECK_NOTHROW(decode(jpeg + "trailing bytes of some camera"));
  for (const size_t missing : {30u, 1000u, 50'000u, 110'000u}) {
    CAPTURE(missing);
    CHECK_THROWS_WITH(decode(jpeg.substr(0, jpeg.size() - missing)), Catch::Contains("test: "));
  }
}

TEST_CASE("image: a JPEG of endless scans is refused") {
  if (!built_with_jpeg()) return;
  const std::string jpeg = content(kData / "pictures/gradient_progressive.jpg");
  const size_t first = jpeg.find("\xff\xda");
  // The scan ends where the tables of the next one begin.
  const size_t next = jpeg.find("\xff\xc4", first);
  REQUIRE(next != jpeg.npos);
  std::string endless = jpeg.substr(0, first);
  for (int i = 0; i < 600; ++i) endless += jpeg.substr(first, next - first);
  endless += jpeg.substr(next);
  CHECK_THROWS_WITH(decode(endless), Catch::Contains("more than 500 scans"));
}

TEST_CASE("image: a build without libjpeg-turbo says what to do") {
  const std::string jpeg = content(kData / "pictures/gradient.jpg");
  CHECK(size_of_picture(jpeg) == ImageSize{21, 35});
  if (build_summary().find("jpeg: none\n") == std::string::npos) return;
  CHECK_THROWS_WITH(decode(jpeg), Catch::Contains("test: this build has no libjpeg-turbo") &&
                                      Catch::Contains("or convert the photo to PNG"));
}

TEST_CASE("image: files cut anywhere are refused") {
  const std::string name = GENERATE("rgb.png", "palette.png", "rgb.bmp", "rgb.tga", "rgb_rle.tga",
                                    "rgb.ppm", "grey16.pgm");
  const std::string file = content(kData / "pictures" / name);
  // Behind the pixels, TGA has a footer and BMP rows a padding of at most 3 bytes.
  const size_t optional = name.ends_with("tga") ? 26 : name.ends_with("bmp") ? 3 : 0;
  for (size_t length = 0; length + optional < file.size(); ++length) {
    CAPTURE(name, length);
    CHECK_THROWS_AS(decode(file.substr(0, length)), Error);
  }
}

TEST_CASE("image: a wrong checksum in a PNG is refused") {
  std::string file = content(kData / "pictures/rgb.png");
  file[50] ^= 1;
  CHECK_THROWS_WITH(decode(file), Catch::Contains("wrong checksum in the chunk at byte 33"));
}

// The PNG with another width and height in its header, checksum repaired.
static std::string with_size(std::string png, uint32_t width, uint32_t height) {
  for (int i = 0; i < 4; ++i) {
    png[size_t(16 + i)] = char(width >> (24 - 8 * i));
    png[size_t(20 + i)] = char(height >> (24 - 8 * i));
  }
  const uint32_t sum = crc32_of(std::as_bytes(std::span(png)).subspan(12, 17));
  for (int i = 0; i < 4; ++i) png[size_t(29 + i)] = char(sum >> (24 - 8 * i));
  return png;
}

TEST_CASE("image: sizes are checked before anything is allocated") {
  const std::string png = content(kData / "pictures/rgb.png");
  CHECK_THROWS_WITH(decode(with_size(png, 100'000, 100'000)),
                    Catch::Contains("declares 100000 x 100000 pixels, more than its"));
  CHECK_THROWS_WITH(decode(with_size(png, 0, 5)), Catch::Contains("picture is empty: 0 x 5"));
  CHECK_THROWS_WITH(decode(with_size(png, 9, 5)), Catch::Contains("cannot decode"));
  CHECK_THROWS_WITH(decode(png, {.max_pixels = 34}),
                    Catch::Contains("test: 7 x 5 pixels exceed the limit of 34"));
  CHECK_NOTHROW(decode(png, {.max_pixels = 35}));
  CHECK_THROWS_WITH(size_of_picture(png, {.max_pixels = 34}), Catch::Contains("--max-pixels"));
  CHECK_THROWS_WITH(decode("P6 30000 30000 255\nabc"), Catch::Contains("the PNM ends early"));
}

TEST_CASE("image: what is not read is named") {
  CHECK_THROWS_WITH(read_image(kData / "pictures/rgb.gif"),
                    Catch::Contains("rgb.gif: GIF is not supported; convert it to PNG or JPEG"));
  CHECK_THROWS_WITH(decode(""), Catch::Contains("test: the file is empty"));
  CHECK_THROWS_WITH(decode("hello, this is no picture at all"),
                    Catch::Contains("not a picture in a known format"));
  CHECK_THROWS_WITH(read_image("/nowhere/photo.jpg"), Catch::Contains("/nowhere/photo.jpg"));
  CHECK_THROWS_WITH(decode("P3\n1 1\n255\n1 2 3\n"), Catch::Contains("text PNM is not supported"));
}

}  // namespace fathom
