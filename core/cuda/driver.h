#pragma once

#include <cstdint>

struct CUstream_st;

/// The calls of the CUDA runtime that the engine makes, in plain C++. Two files implement them, and
/// a program links one: core/cuda/driver.cpp for devices, tests/kernel_host/driver.cpp for a device
/// whose kernels run on the CPU.
///
/// Every function throws Error with what was tried, on which device, and CUDA's words.
namespace fathom::cuda::driver {

/// Makes the device the calling thread's current one.
void select(int device);

CUstream_st* create_stream(int device);
void synchronize(CUstream_st* stream);

/// Null when the device has not enough memory; the process stays usable. element_bytes: see
/// Storage::allocate.
void* allocate(int device, int64_t bytes, int64_t element_bytes);
void release(int device, void* memory) noexcept;

struct Memory {
  int64_t free_bytes, total_bytes;
};
Memory memory(int device);

// In the order of the stream. Host memory may be any; it may be reused when copy_in returns, and
// read after synchronize() when copy_out was called.
void copy_in(CUstream_st* stream, void* device, const void* host, int64_t bytes);
void copy_out(CUstream_st* stream, void* host, const void* device, int64_t bytes);
void copy_on_device(CUstream_st* stream, void* to, const void* from, int64_t bytes);

}  // namespace fathom::cuda::driver
