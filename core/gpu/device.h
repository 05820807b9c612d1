// core/gpu.h under nvcc: thin names over CUDA and inline PTX.  No logic lives here.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "core/error.h"

// Shared memory with a size known at compile time: GPU_SHARED(tile, float[32][33]);
#define GPU_SHARED(name, ...) __shared__ __align__(16) std::type_identity_t<__VA_ARGS__> name

namespace fathom::gpu {

using Stream = cudaStream_t;

// Carves the dynamic shared memory of the launch into arrays, in the order of the calls.
class DynamicShared {
 public:
  template <class T>
  __device__ T* take(std::uint32_t count, std::uint32_t align = 16) {
    extern __shared__ __align__(1024) unsigned char fathom_dynamic_shared[];
    used_ = (used_ + align - 1) / align * align;
    T* array = reinterpret_cast<T*>(fathom_dynamic_shared + used_);
    used_ += count * static_cast<std::uint32_t>(sizeof(T));
    return array;
  }

 private:
  std::uint32_t used_ = 0;
};

inline void check(cudaError_t status) {
  if (status != cudaSuccess) fail("CUDA: ", cudaGetErrorString(status));
}

// ---- for tests: memory, and one run where the kernel host makes several
// --------------------------

inline void* allocate(std::size_t bytes, std::size_t) {
  void* p = nullptr;
  check(cudaMalloc(&p, bytes));
  check(cudaMemset(p, 0xff, bytes));
  return p;
}
inline void release(void* pointer) { cudaFree(pointer); }
inline void copy_in(void* device, const void* host, std::size_t bytes) {
  check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
}
inline void copy_out(void* host, const void* device, std::size_t bytes) {
  check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
}
template <class Body>
void under_schedules(int, Body body) {
  body();
}
inline std::string schedule() { return "the device's own"; }

template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
            std::type_identity_t<P>... args) {
  if (shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, args...));
}

inline int multiprocessors() {
  int device = 0, count = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- sm_80: asynchronous copies, ldmatrix, mma ------------------------------------------------

// Starts a copy of 16 bytes from global to shared memory; zeros instead when !valid.
__device__ inline void cp_async16(void* shared, const void* global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Four 8x8 matrices of 16-bit elements; lane 8*i+j gives the address of row j of matrix i.
__device__ inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// c += a(16x16) * b(16x8), T = __nv_bfloat16 or __half, accumulated in float.
template <class T>
__device__ inline void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// 2^x by the special function unit: relative error 2^-22, results below 2^-126 are zero.
__device__ inline float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A barrier among `threads` threads of the block (a multiple of 32); id 1..15.
__device__ inline void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
// Counts in it without waiting.
__device__ inline void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace fathom::gpu
