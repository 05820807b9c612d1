#pragma once

#include <cstdint>
#include <string>

struct CUevent_st;
struct CUgraphExec_st;
struct CUstream_st;

/// The calls of the CUDA runtime that the engine makes, in plain C++. Two files implement them, and
/// a program links one: core/cuda/driver.cpp for devices, tests/kernel_host/driver.cpp for a device
/// whose kernels run on the CPU.
///
/// Every function throws Error with what was tried, on which device, and CUDA's words.
namespace fathom::cuda::driver {

/// "13.0"; empty where there is none.
struct Versions {
  std::string driver, runtime;  // the newest CUDA that the driver knows, and the one linked
};
Versions versions();
/// "0000:19:00.0", by which other libraries know the device.
std::string pci_bus_id(int device);

/// Makes the device the calling thread's current one.
void select(int device);

CUstream_st* create_stream(int device);
void destroy(CUstream_st* stream) noexcept;
void synchronize(CUstream_st* stream);

CUevent_st* create_event(int device, bool timed);
void destroy(CUevent_st* event) noexcept;
void record(CUevent_st* event, CUstream_st* stream);
void wait(CUstream_st* stream, CUevent_st* event);
bool is_done(CUevent_st* event);
void synchronize(CUevent_st* event);
double elapsed_ms(CUevent_st* from, CUevent_st* to);

/// Null when the device has not enough memory; the process stays usable. element_bytes: see
/// Storage::allocate; 0 for a segment that will hold several tensors.
void* allocate(int device, int64_t bytes, int64_t element_bytes);
void release(int device, void* memory) noexcept;

/// Host memory that the device reads and writes by itself; null when there is none left.
void* allocate_pinned(int64_t bytes);
void release_pinned(void* memory) noexcept;

struct Memory {
  int64_t free_bytes, total_bytes;
};
Memory memory(int device);

// In the order of the stream. Host memory may be any. What is not pinned may be reused when copy_in
// returns, pinned memory when an event after it has passed; copy_out is done after synchronize().
void copy_in(CUstream_st* stream, void* device, const void* host, int64_t bytes);
void copy_out(CUstream_st* stream, void* host, const void* device, int64_t bytes);
void copy_on_device(CUstream_st* stream, void* to, const void* from, int64_t bytes);

// From begin_capture on the thread's work on the stream is written down instead of done. Waiting
// for the device, and copies from or to memory that is not pinned, are errors meanwhile.
void begin_capture(CUstream_st* stream);
/// What was written down, `times` times in a row, ready to be launched any number of times; null if
/// it was lost to an error.
CUgraphExec_st* end_capture(CUstream_st* stream, int64_t times);
void launch(CUgraphExec_st* graph, CUstream_st* stream);
void destroy(CUgraphExec_st* graph) noexcept;

}  // namespace fathom::cuda::driver
