#include "models/checkpoint/elements.h"

#include <cmath>
#include <cstring>

#include "models/checkpoint/bytes.h"
#include "tests/testing.h"

namespace fathom {

TEST_CASE("copy_strided: gathers any view, aligned or not, as the index formula says") {
  std::vector<float> storage(200);
  for (size_t i = 0; i < storage.size(); ++i) storage[i] = float(i) * 0.5f;
  std::vector<std::byte> raw(storage.size() * 4 + 1);  // one byte off: no alignment
  std::memcpy(raw.data() + 1, storage.data(), storage.size() * 4);
  const std::span<const std::byte> bytes = std::span(raw).subspan(1);
  struct View {
    Shape shape;
    Strides strides;
  };
  const View view =
      GENERATE(View{{}, {}}, View{{1}, {7}}, View{{13}, {1}}, View{{13}, {3}}, View{{4, 5}, {5, 1}},
               View{{5, 4}, {1, 5}}, View{{3, 1, 7}, {14, 99, 1}}, View{{2, 3, 4}, {1, 2, 6}},
               View{{2, 3, 4}, {0, 4, 1}}, View{{2, 2, 2, 2, 2, 2}, {1, 2, 4, 8, 16, 32}});
  const DType to = GENERATE(DType::f32, DType::f64, DType::bf16, DType::f16);
  std::vector<std::byte> out(size_t(view.shape.numel() * size_of(to)));
  copy_strided(bytes, DType::f32, view.shape, view.strides, to, out);
  visit_float(to, [&]<class T>(Tag<T>) {
    for (int64_t i = 0; i < view.shape.numel(); ++i) {
      int64_t rest = i, at = 0;
      for (int axis = view.shape.rank() - 1; axis >= 0; --axis) {
        at += rest % view.shape[axis] * view.strides[axis];
        rest /= view.shape[axis];
      }
      T value;
      std::memcpy(&value, out.data() + i * int64_t(sizeof(T)), sizeof(T));
      // Halves up to 100 are exact in all four types: at most 8 significant bits.
      REQUIRE(float(value) == storage[size_t(at)]);
    }
  });
}

TEST_CASE("copy_strided: refuses a view outside its bytes and a lossy conversion") {
  std::vector<std::byte> bytes(16), out(16);
  CHECK_THROWS_WITH(copy_strided(bytes, DType::f32, {4}, {2}, DType::f32, out),
                    Catch::Contains("more than the 16 bytes"));
  CHECK_THROWS_WITH(copy_strided(bytes, DType::f32, {4}, {int64_t(1) << 62}, DType::f32, out),
                    Catch::Contains("does not fit"));
  CHECK_THROWS_WITH(copy_strided(bytes, DType::f32, {4}, {1}, DType::i32, out),
                    Catch::Contains("f32 does not convert to i32"));
  CHECK_THROWS_WITH(copy_strided(bytes, DType::f32, {4}, {1}, DType::f64, out),
                    Catch::Contains("is 32 bytes, but out has 16"));
}

TEST_CASE("copy_strided: integers become floats, and a bool is 0 or 1 whatever its byte") {
  const int64_t numbers[] = {-3, 0, int64_t(1) << 40};
  double wide[3];
  copy_strided(std::as_bytes(std::span(numbers)), DType::i64, {3}, {1}, DType::f64,
               std::as_writable_bytes(std::span(wide)));
  CHECK(wide[0] == -3);
  CHECK(wide[2] == std::ldexp(1.0, 40));
  const uint8_t raw[] = {0, 1, 2, 255};
  uint8_t flags[4];
  copy_strided(std::as_bytes(std::span(raw)), DType::boolean, {4}, {1}, DType::boolean,
               std::as_writable_bytes(std::span(flags)));
  CHECK((flags[0] == 0 && flags[1] == 1 && flags[2] == 1 && flags[3] == 1));
}

}  // namespace fathom
