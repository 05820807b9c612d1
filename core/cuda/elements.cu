#include "core/cuda/elements.h"

#include <algorithm>

#include "core/gpu.h"

namespace fathom::cuda {
namespace {

// Memory bound: each element is read once and written once, one a thread and step.
constexpr int kThreads = 256;

dim3 blocks_for(int64_t count) {
  constexpr int64_t kMost = 1 << 20;
  return dim3(static_cast<unsigned>(std::min(gpu::ceil_div<int64_t>(count, kThreads), kMost)));
}

__device__ int64_t first_element() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }
__device__ int64_t element_step() { return int64_t(gridDim.x) * kThreads; }

// ---- conversions: through float from the half types, otherwise direct

template <class T>
__device__ auto number(T x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return __bfloat162float(x);
  else if constexpr (std::is_same_v<T, __half>)
    return __half2float(x);
  else
    return x;
}

template <class To, class From>
__device__ To converted(From x) {
  if constexpr (std::is_same_v<To, From>)
    return x;
  else if constexpr (std::is_same_v<To, __nv_bfloat16>)
    return __float2bfloat16(static_cast<float>(number(x)));
  else if constexpr (std::is_same_v<To, __half>)
    return __float2half(static_cast<float>(number(x)));
  else
    return static_cast<To>(number(x));
}

template <class From, class To>
__global__ void copy_kernel(const From* __restrict__ from, To* __restrict__ to, ElementIndex index,
                            int64_t count) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    int64_t rest = i, p = 0, q = 0;
    for (int axis = index.rank - 1; axis >= 0; --axis) {
      const int64_t at = axis > 0 ? rest % index.extent[axis] : rest;
      rest /= index.extent[axis];
      p += at * index.from[axis];
      q += at * index.to[axis];
    }
    to[q] = converted<To>(from[p]);
  }
}

template <class T>
__global__ void fill_kernel(T* __restrict__ x, T value, int64_t count) {
  for (int64_t i = first_element(); i < count; i += element_step()) x[i] = value;
}

template <class T>
__global__ void add_kernel(const T* __restrict__ b, T* __restrict__ a, int64_t count) {
  for (int64_t i = first_element(); i < count; i += element_step())
    a[i] = converted<T>(number(a[i]) + number(b[i]));
}

// f(null pointer to the device's type).
decltype(auto) visit_element(DType dtype, auto&& f) {
  switch (dtype) {
    case DType::f64: return f(static_cast<double*>(nullptr));
    case DType::f32: return f(static_cast<float*>(nullptr));
    case DType::f16: return f(static_cast<__half*>(nullptr));
    case DType::bf16: return f(static_cast<__nv_bfloat16*>(nullptr));
    case DType::i64: return f(static_cast<int64_t*>(nullptr));
    case DType::i32: return f(static_cast<int32_t*>(nullptr));
    case DType::u8: return f(static_cast<uint8_t*>(nullptr));
    case DType::boolean: return f(static_cast<bool*>(nullptr));
  }
  fail("unknown dtype ", int(dtype));
}

}  // namespace

void copy_elements(CUstream_st* stream, const ElementIndex& index, DType from_type,
                   const void* from, DType to_type, void* to) {
  int64_t count = 1;
  for (int axis = 0; axis < index.rank; ++axis) count *= index.extent[axis];
  visit_element(from_type, [&]<class From>(From*) {
    visit_element(to_type, [&]<class To>(To*) {
      if constexpr (std::is_same_v<From, double> &&
                    (std::is_same_v<To, __half> || std::is_same_v<To, __nv_bfloat16>))
        fail("on a CUDA device f64 does not convert to ", to_type, "; convert to f32 first");
      else
        gpu::launch(copy_kernel<From, To>, blocks_for(count), kThreads, 0, stream,
                    static_cast<const From*>(from), static_cast<To*>(to), index, count);
    });
  });
}

void fill_elements(CUstream_st* stream, void* x, int element_bytes, uint64_t bits, int64_t count) {
  const auto run = [&]<class T>(T value) {
    gpu::launch(fill_kernel<T>, blocks_for(count), kThreads, 0, stream, static_cast<T*>(x), value,
                count);
  };
  switch (element_bytes) {
    case 1: return run(static_cast<uint8_t>(bits));
    case 2: return run(static_cast<uint16_t>(bits));
    case 4: return run(static_cast<uint32_t>(bits));
    case 8: return run(bits);
    default: fail("elements of ", element_bytes, " bytes");
  }
}

void add_elements(CUstream_st* stream, DType dtype, const void* b, void* a, int64_t count) {
  visit_element(dtype, [&]<class T>(T*) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, __half> ||
                  std::is_same_v<T, __nv_bfloat16>)
      gpu::launch(add_kernel<T>, blocks_for(count), kThreads, 0, stream, static_cast<const T*>(b),
                  static_cast<T*>(a), count);
    else
      fail("add_in_place: CUDA kernels compute in f32, f16 or bf16, not ", dtype);
  });
}

}  // namespace fathom::cuda
