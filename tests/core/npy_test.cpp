#include "core/npy.h"

#include <cmath>

#include "core/bytes.h"
#include "core/file.h"
#include "tests/scratch.h"
#include "tests/testing.h"

namespace fathom {

static FloatMap parse(const std::string& file) {
  return read_npy(std::as_bytes(std::span(file)), "test.npy");
}

// A version 1.0 file with this dictionary and these bytes.
static std::string npy(const std::string& dictionary, const std::string& data) {
  return std::string("\x93NUMPY\x01\0", 8) + char(dictionary.size()) + '\0' + dictionary + data;
}

static std::string dictionary(const std::string& dtype, const std::string& shape,
                              const std::string& fortran = "False") {
  return "{'descr': '" + dtype + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

TEST_CASE("npy: a map survives a round trip, bit by bit") {
  const ScratchFolder scratch("npy");
  const std::filesystem::path path = scratch.path / "map.npy";
  FloatMap map{3, 5, {}};
  for (int i = 0; i < 15; ++i) map.values.push_back(std::exp(float(i)) - 7);
  map.values[4] = INFINITY;
  write_npy(path, map);
  const std::string file = read_text(path);
  // What numpy.save writes: 10 + 118 bytes of header, then the floats.
  const std::string header = std::string("\x93NUMPY\x01\0v\0", 10) +
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }";
  CHECK((file.substr(0, header.size()) == header));
  CHECK(file.size() == 128 + 15 * 4);
  CHECK(file[127] == '\n');
  const FloatMap again = parse(file);
  CHECK(again.height == 3);
  CHECK(again.width == 5);
  CHECK(again.values == map.values);
}

TEST_CASE("npy: reads every supported dtype") {
  const std::vector<float> expected = {1, 2.5f};
  const auto values = [](const std::string& dtype, const std::string& data) {
    return parse(npy(dictionary(dtype, "(1, 2)"), data)).values;
  };
  CHECK(values("<f4", std::string("\0\0\x80\x3f\0\0\x20\x40", 8)) == expected);
  CHECK(values(">f4", std::string("\x3f\x80\0\0\x40\x20\0\0", 8)) == expected);
  CHECK(values("<f2", std::string("\0\x3c\0\x41", 4)) == expected);
  CHECK(values("<f8", std::string("\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x04\x40", 16)) == expected);
  CHECK(values("|u1", "\x07\xff") == std::vector<float>{7, 255});
  CHECK(values("<u2", "\x01\x02\xff\xff") == std::vector<float>{513, 65535});
  CHECK(values(">u2", "\x01\x02\xff\xff") == std::vector<float>{258, 65535});
}

TEST_CASE("npy: Fortran order is turned and single extents are dropped") {
  const std::string data = "\x01\x02\x03\x04\x05\x06";
  const FloatMap turned = parse(npy(dictionary("|u1", "(2, 3)", "True"), data));
  CHECK(turned.values == std::vector<float>{1, 3, 5, 2, 4, 6});
  for (const char* shape : {"(2, 3)", "(1, 2, 3)", "(1, 1, 2, 3)", "(2, 3, 1)", "(1,2,3,1)"}) {
    const FloatMap map = parse(npy(dictionary("|u1", shape), data));
    CHECK(map.height == 2);
    CHECK(map.width == 3);
    CHECK(map.values == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
}

TEST_CASE("npy: reads what NumPy wrote") {
  for (const char* name : {"map.npy", "map_f16_fortran.npy"}) {
    const FloatMap map = read_npy(std::filesystem::path(FATHOM_TEST_DATA) / "pictures" / name);
    CHECK(map.height == 5);
    REQUIRE(map.values.size() == 35);
    for (int i = 0; i < 35; ++i) CHECK(map.values[size_t(i)] == float(i) / 4);
  }
}

TEST_CASE("npy: says what is wrong") {
  const auto refuse = [](const std::string& file, const char* words) {
    CHECK_THROWS_WITH(parse(file), Catch::StartsWith("test.npy: ") && Catch::Contains(words));
  };
  refuse("", "not a .npy file");
  refuse("PK\x03\x04 an npz file", "not a .npy file");
  refuse(npy(dictionary("<f4", "(2, 3)"), "abc"), "3 bytes of data, too few for 2 x 3 of <f4");
  refuse(npy(dictionary("<f4", "(2000000000, 2000000000)"), "abc"), "too few for 2000000000");
  refuse(npy(dictionary("<f4", "(2, 0)"), "abc"), "positive extents");
  refuse(npy(dictionary("<f4", "(2, -3)"), "abc"), "positive extents");
  refuse(npy(dictionary("<f4", "(99999999999999999999, 2)"), "abc"), "positive extents");
  refuse(npy(dictionary("<f4", "(2, 3"), "abc"), "not a tuple");
  refuse(npy(dictionary("<f4", "(4,)"), "abc"), "two axes, but the npy array has 1");
  refuse(npy(dictionary("<f4", "(4, 5, 3)"), "abc"), "two axes, but the npy array has 3");
  refuse(npy(dictionary("<c8", "(1, 1)"), "12345678"), "dtype <c8 is not supported");
  refuse(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1, 1), }", "abcd"),
         "records");
  refuse(npy("{'fortran_order': False, 'shape': (1, 1), }", "abcd"), "does not say descr");
  const std::string whole = npy(dictionary("<f4", "(1, 1)"), "abcd");
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK_THROWS_AS(parse(whole.substr(0, length)), Error);
  CHECK_NOTHROW(parse(whole));
}

}  // namespace fathom
