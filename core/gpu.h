// What a kernel file may use (docs/kernels.md).  A kernel file includes this header and nothing
// from CUDA; it then compiles unchanged with nvcc (gpu/device.h: real CUDA) and with a host
// compiler (gpu/host.h: the CUDA execution model on the CPU, for tests).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#include "core/gpu/device.h"
#else
#define FATHOM_KERNEL_HOST 1  // the kernels of this build run on the CPU
#include "core/gpu/host.h"
#endif

namespace fathom::gpu {

inline constexpr unsigned kFullWarp = 0xffffffffu;

template <class Integer>
__host__ __device__ constexpr Integer ceil_div(Integer a, Integer b) {
  return (a + b - 1) / b;
}

// The two floats of a register that holds two bf16 or half.
template <class T>
__device__ inline void unpack2(std::uint32_t pair, float& low, float& high) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    low = __uint_as_float(pair << 16);
    high = __uint_as_float(pair & 0xffff0000u);
  } else {
    const float2 both = __half22float2(reinterpret_cast<const __half2&>(pair));
    low = both.x;
    high = both.y;
  }
}

// Two floats rounded to bf16 or half and packed in one register, `low` in the low half.
template <class T>
__device__ inline std::uint32_t pack2(float low, float high) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<const std::uint32_t&>(pair);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    return reinterpret_cast<const std::uint32_t&>(pair);
  }
}

}  // namespace fathom::gpu
