#include "train/data/map_file.h"

#include <cmath>
#include <cstring>

#include "core/file.h"
#include "tests/pictures.h"
#include "tests/testing.h"

namespace fathom {

static FloatMap read(const std::filesystem::path& path, std::string_view key = {}) {
  return read_map(MappedFile(path).bytes(), path.string(), key);
}

static FloatMap fixture(const std::string& name, std::string_view key = {}) {
  return read(std::filesystem::path(FATHOM_TEST_DATA) / name, key);
}

static FloatMap parse(const std::string& file, std::string_view key = {},
                      const ImageOptions& options = {}) {
  return read_map(std::as_bytes(std::span(file)), "test.map", key, options);
}

// The fixtures under maps/ hold 0, 1/4, 2/4 ... row by row.
static void check_quarters(const FloatMap& map, int64_t height, int64_t width) {
  CHECK(map.height == height);
  CHECK(map.width == width);
  REQUIRE(map.values.size() == size_t(height * width));
  for (size_t i = 0; i < map.values.size(); ++i) REQUIRE(map.values[i] == float(i) / 4);
}

TEST_CASE("map file: the format is known by content") {
  check_quarters(fixture("pictures/map.npy"), 5, 7);
  check_quarters(fixture("pictures/map.pfm"), 5, 7);
  const FloatMap png = fixture("pictures/grey16.png"), pgm = fixture("pictures/grey16.pgm");
  CHECK(png.values == pgm.values);
  CHECK(*std::max_element(png.values.begin(), png.values.end()) > 255);
  CHECK(fixture("pictures/grey.png").values == fixture("pictures/grey.pgm").values);
}

TEST_CASE("map file: Sintel's .dpt") {
  const float values[] = {1, 2, 3, 4, 5, 6};
  std::string file = std::string("PIEH\x03\0\0\0\x02\0\0\0", 12) +
                     std::string(reinterpret_cast<const char*>(values), sizeof values);
  const FloatMap map = parse(file);
  CHECK(map.height == 2);
  CHECK(map.width == 3);
  CHECK(map.values == std::vector<float>{1, 2, 3, 4, 5, 6});
  file.pop_back();
  CHECK_THROWS_WITH(parse(file), Catch::Contains("a .dpt map of 3 x 2 with 23 bytes of data"));
}

TEST_CASE("map file: NPZ, stored and deflated") {
  check_quarters(fixture("maps/map_stored.npz"), 5, 7);
  if (!built_with("zlib: yes")) return;
  check_quarters(fixture("maps/map_deflated.npz"), 5, 7);  // "depth" among several
  CHECK(fixture("maps/map_deflated.npz", "other").values == std::vector<float>(4));
  CHECK_THROWS_WITH(fixture("maps/map_deflated.npz", "absent"),
                    Catch::Contains("no array 'absent'; the file holds 'depth.npy', 'other.npy'"));
}

TEST_CASE("map file: a damaged NPZ is refused wherever the damage is") {
  if (!built_with("zlib: yes")) return;
  const std::string whole =
      read_text(std::filesystem::path(FATHOM_TEST_DATA) / "maps/map_deflated.npz");
  const std::vector<float> good = parse(whole).values;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = char(damaged[i] ^ 0x10);
    std::vector<float> values = good;
    try {
      values = parse(damaged).values;  // a time stamp, or the other array
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Catch::StartsWith("test.map"));
    }
    CHECK(values == good);
  }
}

TEST_CASE("map file: a small NPZ cannot ask for more memory than a map needs") {
  if (!built_with("zlib: yes")) return;
  std::string bomb = read_text(std::filesystem::path(FATHOM_TEST_DATA) / "maps/map_deflated.npz");
  const size_t record = bomb.find("PK\x01\x02");  // the directory's first: depth.npy, 268 bytes
  bomb.replace(record + 24, 4, std::string("\xff\xff\x02\0", 4));
  CHECK_THROWS_WITH(parse(bomb, {}, {.max_pixels = 1000}),
                    Catch::Contains("196607 bytes; a map of at most 1000 values is read"));
}

TEST_CASE("map file: OpenEXR") {
  if (!built_with("exr: OpenEXRCore")) {
    CHECK_THROWS_WITH(parse("\x76\x2f\x31\x01"), Catch::Contains("install libopenexr-dev"));
    return;
  }
  // A data window from (3, -2) to (10, 2).
  for (const char* type : {"half", "float"})
    for (const char* compression : {"none", "zips", "zip"})
      check_quarters(fixture(std::string("maps/map_") + type + "_" + compression + ".exr"), 5, 8);
  check_quarters(fixture("maps/bgr.exr"), 5, 8);
  CHECK(fixture("maps/bgr.exr", "R").values[3] == 1.5f);
  CHECK(fixture("maps/bgr.exr", "B").values == std::vector<float>(40));
  CHECK_THROWS_WITH(fixture("maps/bgr.exr", "Z"),
                    Catch::Contains("no channel 'Z'; the EXR holds B, G, R"));
  const std::string whole = read_text(std::filesystem::path(FATHOM_TEST_DATA) / "maps/bgr.exr");
  CHECK_THROWS_WITH(parse(whole, {}, {.max_pixels = 39}),
                    Catch::Contains("8 x 5 pixels; at most 39"));
  for (const size_t length : {4ul, 100ul, whole.size() - 1})
    CHECK_THROWS_WITH(parse(whole.substr(0, length)), Catch::StartsWith("test.map: "));
}

TEST_CASE("map file: HDF5") {
  if (!built_with("hdf5: libhdf5")) {
    CHECK_THROWS_WITH(parse("\x89HDF\r\n\x1a\n"), Catch::Contains("install libhdf5-dev"));
    return;
  }
  check_quarters(fixture("maps/contiguous.h5"), 16, 12);
  check_quarters(fixture("maps/chunked.hdf5"), 16, 12);  // float16, gzip, ragged chunks
  check_quarters(fixture("maps/user_block.h5", "depth"), 16, 12);
  CHECK_THROWS_WITH(fixture("maps/contiguous.h5", "z"), Catch::Contains("no data set 'z'"));
  const std::string whole =
      read_text(std::filesystem::path(FATHOM_TEST_DATA) / "maps/contiguous.h5");
  CHECK_THROWS_WITH(parse(whole, {}, {.max_pixels = 100}), Catch::Contains("at most 100 values"));
  CHECK_THROWS_WITH(parse(whole.substr(0, 1000)), Catch::Contains("the HDF5 file is damaged"));
}

// Sums of the finite values, computed with NumPy, h5py and OpenEXR's Python module.
TEST_CASE("map file: real files of other programs") {
  const std::filesystem::path data = shared_data();
  if (data.empty()) return;
  struct Case {
    const char *name, *key, *needs;
    int64_t height, width;
    double sum;
  };
  const Case cases[] = {
      {"pairs/middlebury_motorcycle/disp.npz", "", "zlib: yes", 500, 741, 11788647.234642029},
      {"pairs/arc2017/data.npz", "", "zlib: yes", 480, 640, 105613.93712693453},
      {"formats/hdf5/hypersim_ai_037_002_frame.0000.depth_meters.hdf5", "", "hdf5: libhdf5", 768,
       1024, 4685919.486328125},
      {"formats/exr/singlepart.0001.exr", "", "exr: OpenEXRCore", 876, 911, 5602764.1015625},
      {"formats/exr/irs_girl_camera1_L_0040.exr", "", "exr: OpenEXRCore", 1024, 1024,
       311136.5136489868},
      {"formats/exr/GrayRampsHorizontal.exr", "", "exr: OpenEXRCore", 800, 800, 411472.343996048}};
  for (const Case& c : cases) {
    CAPTURE(c.name);
    if (!built_with(c.needs)) continue;
    const FloatMap map = read(data / c.name, c.key);
    CHECK(map.height == c.height);
    CHECK(map.width == c.width);
    double sum = 0;
    for (const float value : map.values) sum += std::isfinite(value) ? double(value) : 0;
    // Sums of a million doubles in two orders: 1e6 * 2^-53.
    CHECK(sum == Approx(c.sum).epsilon(1e-9));
  }
}

TEST_CASE("map file: says what is wrong") {
  CHECK_THROWS_WITH(parse("GIF89a"), Catch::StartsWith("test.map: "));
  CHECK_THROWS_WITH(parse(""), Catch::StartsWith("test.map: "));
  CHECK_THROWS_WITH(parse("PK\x03\x04"), Catch::StartsWith("test.map: "));
}

}  // namespace fathom
