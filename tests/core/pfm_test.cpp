#include "core/pfm.h"

#include <cmath>

#include "core/bytes.h"
#include "core/file.h"
#include "tests/testing.h"

namespace fathom {

static FloatMap parse(const std::string& file) {
  return read_pfm(std::as_bytes(std::span(file)), "test.pfm");
}

TEST_CASE("pfm: a map survives a round trip, its last row first in the file") {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "fathom_pfm_test.pfm";
  const FloatMap map{3, 2, {1, 2, 3, 4, 5, INFINITY}};
  write_pfm(path, map);
  const std::string file = read_text(path);
  std::filesystem::remove(path);
  const std::string expected = "Pf\n2 3\n-1.0\n" + std::string("\0\0\xa0\x40\0\0\x80\x7f", 8);
  CHECK((file.substr(0, expected.size()) == expected));
  CHECK(file.size() == 12 + 24);
  const FloatMap again = parse(file);
  CHECK(again.height == 3);
  CHECK(again.width == 2);
  CHECK(again.values == map.values);
}

TEST_CASE("pfm: reads both byte orders and any line ends") {
  const std::string big("\x3f\x80\0\0\x40\x20\0\0", 8), little("\0\0\x80\x3f\0\0\x20\x40", 8);
  const std::vector<float> expected = {1, 2.5f};
  CHECK(parse("Pf\n2 1\n1\n" + big).values == expected);
  CHECK(parse("Pf\n2 1\n-0.003922\n" + little).values == expected);
  CHECK(parse("Pf 2 1 -1e0 " + little).values == expected);
  CHECK(parse("Pf\r\n2 1\r\n-1\r\n" + little).values == expected);
}

TEST_CASE("pfm: says what is wrong") {
  const auto refuse = [](const std::string& file, const char* words) {
    CHECK_THROWS_WITH(parse(file), Catch::StartsWith("test.pfm: ") && Catch::Contains(words));
  };
  refuse("", "not a PFM file");
  refuse("PF\n1 1\n-1\nabcdabcdabcd", "three channels");
  refuse("Pf\n2 2\n-1\nabcdabcd", "8 bytes of data, too few for 2 x 2");
  refuse("Pf\n4000000000 4000000000\n-1\nabcd", "too few for 4000000000");
  refuse("Pf\n-1 2\n-1\nabcd", "-1 x 2");
  refuse("Pf\n1 x\n-1\nabcd", "\"x\" where a number must stand");
  refuse("Pf\n1 1\n0\nabcd", "scale is 0");
  refuse("Pf\n1 1\n-1", "ends within its header");
}

}  // namespace fathom
