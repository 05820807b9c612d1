#include "core/dtype.h"

#include <cmath>
#include <random>
#include <sstream>

#include "tests/testing.h"

namespace fathom {

// The value of a 16-bit float, from the definition of its format.
static double defined_value(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = int(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = int(bits) & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000u ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

template <class T>
constexpr int kExponentBits = std::same_as<T, float16> ? 5 : 8;
template <class T>
constexpr int kMantissaBits = 15 - kExponentBits<T>;
template <class T>
constexpr uint32_t kInfinity = ((1u << kExponentBits<T>)-1) << kMantissaBits<T>;

TEMPLATE_TEST_CASE("dtype: all 65536 half values convert exactly and round trip", "", float16,
                   bfloat16) {
  int wrong_value = 0, wrong_bits = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = float(TestType::from_bits(uint16_t(bits)));
    const double expected = defined_value(bits, kExponentBits<TestType>, kMantissaBits<TestType>);
    const uint16_t back = TestType(value).bits;
    if (std::isnan(expected)) {  // stays a NaN of the same sign and payload, quiet
      wrong_value += !std::isnan(value) || std::signbit(value) != bool(bits & 0x8000u);
      wrong_bits += back != (bits | (1u << (kMantissaBits<TestType> - 1)));
    } else {
      wrong_value += value != expected || std::signbit(value) != bool(bits & 0x8000u);
      wrong_bits += back != bits;
    }
  }
  CHECK(wrong_value == 0);
  CHECK(wrong_bits == 0);
}

TEMPLATE_TEST_CASE("dtype: floats and doubles round once, to nearest even", "", float16, bfloat16) {
  // Between every two neighbours: the midpoint, which a double holds exactly and a float too,
  // goes to the even one, and the closest numbers on either side of it to their own side.
  int wrong_float = 0, wrong_double = 0;
  for (uint32_t low = 0; low < kInfinity<TestType>; ++low) {
    const uint16_t high = uint16_t(low + 1), even = uint16_t(low & 1 ? high : low);
    const double a = defined_value(low, kExponentBits<TestType>, kMantissaBits<TestType>);
    // Beyond the largest value rounding behaves as if the exponent went on.
    const double b = high == kInfinity<TestType>
                         ? std::ldexp(1.0, (1 << (kExponentBits<TestType> - 1)))
                         : defined_value(high, kExponentBits<TestType>, kMantissaBits<TestType>);
    const double middle = (a + b) / 2;
    for (const double sign : {1.0, -1.0}) {
      const uint16_t s = sign < 0 ? 0x8000u : 0;
      const auto as_float = [&](float x) { return uint32_t(TestType(float(sign) * x).bits ^ s); };
      const auto as_double = [&](double x) { return uint32_t(cast<TestType>(sign * x).bits ^ s); };
      const float m = float(middle);
      if (std::isfinite(m)) {
        wrong_float += as_float(m) != even;
        wrong_float += as_float(std::nextafter(m, 0.0f)) != low;
        wrong_float += as_float(std::nextafter(m, INFINITY)) != high;
      }
      wrong_double += as_double(middle) != even;
      wrong_double += as_double(std::nextafter(middle, 0.0)) != low;
      wrong_double += as_double(std::nextafter(middle, INFINITY)) != high;
    }
  }
  CHECK(wrong_float == 0);
  CHECK(wrong_double == 0);
}

TEMPLATE_TEST_CASE("dtype: a random float goes to the nearest half", "", float16, bfloat16) {
  std::mt19937 random(3);
  int wrong = 0;
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(uint32_t(random()));
    const uint16_t bits = TestType(x).bits;
    if (std::isnan(x) || (bits & 0x7fffu) >= kInfinity<TestType>) continue;
    const auto distance = [&](uint32_t b) {
      return std::fabs(double(x) -
                       defined_value(b, kExponentBits<TestType>, kMantissaBits<TestType>));
    };
    wrong += distance(bits) > distance(bits + 1u);
    if (bits & 0x7fffu) wrong += distance(bits) > distance(bits - 1u);
  }
  CHECK(wrong == 0);
}

TEST_CASE("dtype: names, sizes, kinds, epsilons") {
  struct Row {
    DType dtype;
    std::string name;
    int64_t size;
    bool floating;
  };
  for (const Row& row : {Row{DType::f64, "f64", 8, true}, Row{DType::f32, "f32", 4, true},
                         Row{DType::f16, "f16", 2, true}, Row{DType::bf16, "bf16", 2, true},
                         Row{DType::i64, "i64", 8, false}, Row{DType::i32, "i32", 4, false},
                         Row{DType::u8, "u8", 1, false}, Row{DType::boolean, "bool", 1, false}}) {
    std::ostringstream out;
    out << row.dtype;
    CHECK(out.str() == row.name);
    CHECK(size_of(row.dtype) == row.size);
    CHECK(is_float(row.dtype) == row.floating);
    visit_any(row.dtype, [&]<class T>(Tag<T>) { CHECK(dtype_of<T>() == row.dtype); });
    if (!row.floating) {
      CHECK_THROWS_WITH(epsilon(row.dtype), Catch::Contains(row.name + " is not a floating dtype"));
      CHECK_THROWS_WITH(visit_float(row.dtype, [](auto) {}), Catch::Contains("got " + row.name));
      continue;
    }
    // The distance from 1 to its successor: 1 + epsilon is a value, 1 + epsilon / 4 is not.
    visit_float(row.dtype, [&]<class T>(Tag<T>) {
      CHECK(dtype_of<T>() == row.dtype);
      const double e = epsilon(row.dtype);
      CHECK(cast<double>(cast<T>(1 + e)) == 1 + e);
      CHECK(cast<double>(cast<T>(1 + e / 4)) == 1);
    });
  }
}

TEST_CASE("dtype: casts between kinds") {
  CHECK(cast<int32_t>(bfloat16(-3.0f)) == -3);
  CHECK(cast<bool>(float16(0.5f)));
  CHECK_FALSE(cast<bool>(float16(0.0f)));
  CHECK(cast<float>(true) == 1);
  CHECK(cast<double>(int64_t(1) << 53) == 0x1p53);
  CHECK(float(cast<bfloat16>(float16(65504.0f))) == 65536.0f);
  CHECK(std::isinf(float(cast<float16>(1e300))));
  CHECK(std::isnan(float(cast<float16>(double(NAN)))));
  CHECK(std::signbit(float(cast<float16>(-1e-300))));
}

}  // namespace fathom
