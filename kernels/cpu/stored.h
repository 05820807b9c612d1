#pragma once

#include "core/dtype.h"
#include "kernels/cpu/by_type.h"

namespace fathom::cpu {

/// The type that the hot loops know a tensor's element by.
template <class T>
struct StoredAs {
  using type = T;
};
template <>
struct StoredAs<float16> {
  using type = F16;
};
template <>
struct StoredAs<bfloat16> {
  using type = Bf16;
};
template <class T>
using stored_t = typename StoredAs<T>::type;

template <class T>
const stored_t<T>* stored(const T* p) {
  return reinterpret_cast<const stored_t<T>*>(p);
}
template <class T>
stored_t<T>* stored(T* p) {
  return reinterpret_cast<stored_t<T>*>(p);
}

/// The loops of a family for elements of type T.
template <class T, template <class> class Loops>
const Loops<stored_t<T>>& loops(const ByType<Loops>& family) {
  if constexpr (std::same_as<T, double>) return family.f64;
  if constexpr (std::same_as<T, float>) return family.f32;
  if constexpr (std::same_as<T, float16>) return family.f16;
  if constexpr (std::same_as<T, bfloat16>) return family.bf16;
}

}  // namespace fathom::cpu
