#include "core/shape.h"

#include <sstream>

#include "tests/testing.h"

namespace fathom {

static std::string printed(const Shape& shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

TEST_CASE("shape: extents, elements, row-major strides") {
  const Shape shape{2, 37, 1, 384};
  CHECK(shape.rank() == 4);
  CHECK(shape.back() == 384);
  CHECK(shape.numel() == 2 * 37 * 384);
  CHECK(contiguous_strides(shape) == Strides{37 * 384, 384, 384, 1});
  CHECK(printed(shape) == "[2, 37, 1, 384]");
  CHECK(Shape{}.numel() == 1);
  CHECK(printed({}) == "[]");
}

TEST_CASE("shape: equal means same rank and extents") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
  CHECK_FALSE(Shape{2, 3} == Shape{2, 3, 1});
  CHECK_FALSE(Shape{} == Shape{1});
}

TEST_CASE("shape: refuses what no tensor has") {
  for (const int64_t bad : {int64_t(0), int64_t(-1), INT64_MIN}) {
    CHECK_THROWS_WITH((Shape{3, bad}),
                      "shape: every extent must be at least 1, got " + std::to_string(bad));
    Shape grown{3};
    CHECK_THROWS_WITH(grown.push_back(bad), Catch::Contains("at least 1"));
  }
  CHECK_THROWS_WITH((Shape{1, 2, 3, 4, 5, 6, 7}), Catch::Contains("at most 6 axes"));
}

TEST_CASE("shape: the bytes of a tensor fit an int64") {
  const int64_t most = int64_t(1) << 59;  // of 8 bytes: 2^62
  CHECK(Shape{most}.numel() == most);
  CHECK(Shape{1 << 30, 1 << 29}.numel() == most);
  for (const int64_t more : {int64_t(2), int64_t(3), INT64_MAX})
    CHECK_THROWS_WITH((Shape{most, more}), Catch::Contains("more than 2^59 elements"));
  Shape grown{most};
  CHECK_THROWS_WITH(grown.push_back(2), Catch::Contains("more than 2^59 elements"));
}

TEST_CASE("shape: rounding divisions") {
  CHECK(ceil_div(0, 7) == 0);
  CHECK(ceil_div(1, 7) == 1);
  CHECK(ceil_div(7, 7) == 1);
  CHECK(ceil_div(8, 7) == 2);
  CHECK(round_up(8, 7) == 14);
}

}  // namespace fathom
