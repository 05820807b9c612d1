// The device of core/cuda/driver.h whose kernels run on the CPU. Work is done when it is queued.
#include "core/cuda/driver.h"

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "core/cuda.h"
#include "core/gpu.h"

namespace fathom {
namespace {

constexpr int64_t kDeviceBytes = int64_t(1) << 30;

std::mutex g_mutex;
std::map<void*, int64_t> g_blocks;
int64_t g_used_bytes = 0;

}  // namespace

std::vector<CudaDevice> cuda_devices() { return {{"kernel host", 9, 0, kDeviceBytes}}; }
std::string cuda_unavailable_reason() { return ""; }

namespace cuda::driver {

void select(int) {}

CUstream_st* create_stream(int) {
  static int streams = 0;  // a handle is a name only
  return reinterpret_cast<CUstream_st*>(uintptr_t(0x1000) + uintptr_t(++streams));
}

void synchronize(CUstream_st*) {}

void* allocate(int, int64_t bytes, int64_t element_bytes) {
  const std::lock_guard lock(g_mutex);
  if (bytes > kDeviceBytes - g_used_bytes) return nullptr;
  void* const memory = gpu::allocate(size_t(bytes), size_t(element_bytes));
  g_blocks[memory] = bytes;
  g_used_bytes += bytes;
  return memory;
}

void release(int, void* memory) noexcept {
  const std::lock_guard lock(g_mutex);
  const auto it = g_blocks.find(memory);
  if (it == g_blocks.end()) return gpu::release(memory);  // which ends the program
  g_used_bytes -= it->second;
  g_blocks.erase(it);
  gpu::release(memory);
}

Memory memory(int) {
  const std::lock_guard lock(g_mutex);
  return {kDeviceBytes - g_used_bytes, kDeviceBytes};
}

void copy_in(CUstream_st*, void* device, const void* host, int64_t bytes) {
  gpu::copy_in(device, host, size_t(bytes));
}
void copy_out(CUstream_st*, void* host, const void* device, int64_t bytes) {
  gpu::copy_out(host, device, size_t(bytes));
}
void copy_on_device(CUstream_st*, void* to, const void* from, int64_t bytes) {
  std::unique_ptr<std::byte[]> here(new std::byte[size_t(bytes)]);
  gpu::copy_out(here.get(), from, size_t(bytes));
  gpu::copy_in(to, here.get(), size_t(bytes));
}

}  // namespace cuda::driver
}  // namespace fathom
