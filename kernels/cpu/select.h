#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace fathom::cpu {

/// A float or double as an integer that sorts the same way: NaN above all, one zero.
template <class T>
auto sort_key(T value) {
  using Key = std::conditional_t<std::same_as<T, double>, uint64_t, uint32_t>;
  constexpr Key kSign = Key(1) << (sizeof(T) * 8 - 1);
  if (value != value) return ~Key(0);
  const Key bits = std::bit_cast<Key>(value + T(0));  // -0 becomes 0
  return bits & kSign ? Key(~bits) : Key(bits | kSign);
}

}  // namespace fathom::cpu
