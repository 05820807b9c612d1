#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string_view>
#include <type_traits>

#include "core/error.h"

namespace fathom {

/// IEEE 754 binary16 as stored; arithmetic happens in float.
struct float16 {
  uint16_t bits = 0;
  float16() = default;
  explicit float16(float value);  // rounds to nearest even; overflow gives infinity
  explicit operator float() const;
  static float16 from_bits(uint16_t bits) {
    float16 h;
    h.bits = bits;
    return h;
  }
};

/// The upper half of a float, as stored; arithmetic happens in float.
struct bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) {
    uint32_t u = std::bit_cast<uint32_t>(value);
    // Round to nearest even; a NaN keeps its sign and stays a NaN.
    bits = (u & 0x7fffffffu) > 0x7f800000u ? uint16_t((u >> 16) | 0x40u)
                                           : uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
  static bfloat16 from_bits(uint16_t bits) {
    bfloat16 h;
    h.bits = bits;
    return h;
  }
};

enum class DType : uint8_t { f64, f32, f16, bf16, i64, i32, u8, boolean };

/// A type as a value, for generic lambdas: visit_float(dtype, [&]<class T>(Tag<T>) { ... }).
template <class T>
struct Tag {
  using type = T;
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, double>) return DType::f64;
  if constexpr (std::same_as<T, float>) return DType::f32;
  if constexpr (std::same_as<T, float16>) return DType::f16;
  if constexpr (std::same_as<T, bfloat16>) return DType::bf16;
  if constexpr (std::same_as<T, int64_t>) return DType::i64;
  if constexpr (std::same_as<T, int32_t>) return DType::i32;
  if constexpr (std::same_as<T, uint8_t>) return DType::u8;
  if constexpr (std::same_as<T, bool>) return DType::boolean;
}

std::string_view name_of(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);
int64_t size_of(DType dtype);
bool is_float(DType dtype);

/// The distance from 1 to the next value of a floating dtype: 2^-52, 2^-23, 2^-10, 2^-7.
double epsilon(DType dtype);

/// The type to compute in: double for double, float for every other floating type.
template <class T>
using acc_t = std::conditional_t<std::same_as<T, double>, double, float>;

/// Calls f(Tag<T>) for f64, f32, f16 or bf16; throws on any other dtype.
decltype(auto) visit_float(DType dtype, auto&& f) {
  switch (dtype) {
    case DType::f64: return f(Tag<double>{});
    case DType::f32: return f(Tag<float>{});
    case DType::f16: return f(Tag<float16>{});
    case DType::bf16: return f(Tag<bfloat16>{});
    default: fail("expected a floating dtype (f64, f32, f16, bf16), got ", dtype);
  }
}

/// Calls f(Tag<T>) for every dtype.
decltype(auto) visit_any(DType dtype, auto&& f) {
  switch (dtype) {
    case DType::f64: return f(Tag<double>{});
    case DType::f32: return f(Tag<float>{});
    case DType::f16: return f(Tag<float16>{});
    case DType::bf16: return f(Tag<bfloat16>{});
    case DType::i64: return f(Tag<int64_t>{});
    case DType::i32: return f(Tag<int32_t>{});
    case DType::u8: return f(Tag<uint8_t>{});
    case DType::boolean: return f(Tag<bool>{});
  }
  fail("unknown dtype ", int(dtype));
}

/// The float next to `value` whose last bit tells that something was cut off (Boldo and Melquiond,
/// "When double rounding is odd", 2005): rounding it to a half type rounds `value` once.
inline float round_to_odd(double value) {
  const float nearest = float(value);
  if (!(double(nearest) != value) || value != value) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  const bool away = (double(nearest) < value) == (value < 0);  // nearest lies beyond value
  return std::bit_cast<float>((away ? bits - 1 : bits) | 1u);
}

/// value as T. The half types round once, from double too.
template <class To, class From>
To cast(From value) {
  if constexpr (std::same_as<To, From>) {
    return value;
  } else if constexpr (std::same_as<From, float16> || std::same_as<From, bfloat16>) {
    return cast<To>(float(value));
  } else if constexpr (std::same_as<To, float16> || std::same_as<To, bfloat16>) {
    if constexpr (std::same_as<From, double>) return To(round_to_odd(value));
    return To(float(value));
  } else {
    return To(value);
  }
}

}  // namespace fathom
