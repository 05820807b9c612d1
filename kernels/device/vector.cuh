// Element types of kernels and accesses of 16 bytes, computing in float.
#pragma once

#include "core/dtype.h"
#include "core/gpu.h"

namespace fathom::cuda {

template <class T>
struct DeviceElement {
  using type = T;
};
template <>
struct DeviceElement<bfloat16> {
  using type = __nv_bfloat16;
};
template <>
struct DeviceElement<float16> {
  using type = __half;
};
/// CUDA's own type with the layout of the engine's.
template <class T>
using device_t = typename DeviceElement<T>::type;

template <class T>
const device_t<T>* on_device(const T* p) {
  return reinterpret_cast<const device_t<T>*>(p);
}
template <class T>
device_t<T>* on_device(T* p) {
  return reinterpret_cast<device_t<T>*>(p);
}

/// Elements in one access of 16 bytes.
template <class T>
inline constexpr int kVector = 16 / sizeof(T);

/// Whether every row of `length` elements can be read 16 bytes at a time.
template <class T>
bool is_vectorised(const T* p, int64_t length) {
  return length % kVector<T> == 0 && reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }

template <class T>
__device__ inline T from_float(float x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16(x);
  } else if constexpr (std::is_same_v<T, __half>) {
    return __float2half(x);
  } else {
    return x;
  }
}

/// Reads N consecutive elements: one, or a multiple of 16 bytes from an aligned address.
template <int N, class T>
__device__ inline void load(float (&x)[N], const T* __restrict__ p) {
  if constexpr (N == 1) {
    x[0] = to_float(*p);
  } else {
#pragma unroll
    for (int i = 0; i < N; i += kVector<T>) {
      if constexpr (sizeof(T) == 4) {
        const float4 four = *reinterpret_cast<const float4*>(p + i);
        x[i] = four.x, x[i + 1] = four.y, x[i + 2] = four.z, x[i + 3] = four.w;
      } else {
        const uint4 words = *reinterpret_cast<const uint4*>(p + i);
        gpu::unpack2<T>(words.x, x[i], x[i + 1]);
        gpu::unpack2<T>(words.y, x[i + 2], x[i + 3]);
        gpu::unpack2<T>(words.z, x[i + 4], x[i + 5]);
        gpu::unpack2<T>(words.w, x[i + 6], x[i + 7]);
      }
    }
  }
}

/// Rounds and writes N consecutive elements: one, or a multiple of 16 bytes.
template <int N, class T>
__device__ inline void store(T* __restrict__ p, const float (&x)[N]) {
  if constexpr (N == 1) {
    *p = from_float<T>(x[0]);
  } else {
#pragma unroll
    for (int i = 0; i < N; i += kVector<T>) {
      if constexpr (sizeof(T) == 4) {
        *reinterpret_cast<float4*>(p + i) = {x[i], x[i + 1], x[i + 2], x[i + 3]};
      } else {
        *reinterpret_cast<uint4*>(p + i) = {
            gpu::pack2<T>(x[i], x[i + 1]), gpu::pack2<T>(x[i + 2], x[i + 3]),
            gpu::pack2<T>(x[i + 4], x[i + 5]), gpu::pack2<T>(x[i + 6], x[i + 7])};
      }
    }
  }
}

}  // namespace fathom::cuda
