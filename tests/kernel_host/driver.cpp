// The device of core/cuda/driver.h whose kernels run on the CPU. Work is done when it is queued, so
// that streams and events have nothing to wait for.
#include "core/cuda/driver.h"

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "core/cuda.h"
#include "core/gpu.h"
#include "tests/kernel_host/capture.h"

struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
  int64_t times;
};

struct CUevent_st {  // recorded when the work before it is done
  std::chrono::steady_clock::time_point passed;
};

namespace fathom {
namespace {

constexpr int64_t kDeviceBytes = int64_t(256) << 20;

std::mutex g_mutex;
std::map<void*, int64_t> g_blocks;
std::map<const std::byte*, int64_t> g_pinned;
int64_t g_used_bytes = 0;

// A name only.
template <class Handle>
Handle* new_handle() {
  static uintptr_t handles = 0x1000;
  return reinterpret_cast<Handle*>(++handles);
}

bool is_pinned(const void* memory, int64_t bytes) {
  const std::lock_guard lock(g_mutex);
  const std::byte* const data = static_cast<const std::byte*>(memory);
  const auto it = g_pinned.upper_bound(data);
  return it != g_pinned.begin() && data + bytes <= std::prev(it)->first + std::prev(it)->second;
}

// Does the copy, or keeps it for every replay.
void copy(const void* host, int64_t bytes, std::function<void()> work) {
  if (!gpu::host::is_capturing()) return work();
  if (host && !is_pinned(host, bytes))
    gpu::host::spoil_capture("a copy from or to memory that is not pinned");
  gpu::host::capture(std::move(work));
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
  return {{.name = "kernel host",
           .compute_major = 9,
           .memory_bytes = kDeviceBytes,
           .multiprocessors = 1,
           .l2_cache_bytes = 1 << 20}};
}
std::string cuda_unavailable_reason() { return ""; }

namespace cuda::driver {

Versions versions() { return {.driver = "", .runtime = ""}; }
std::string pci_bus_id(int) { return ""; }

void select(int) {}

CUstream_st* create_stream(int) { return new_handle<CUstream_st>(); }
void destroy(CUstream_st*) noexcept {}
void synchronize(CUstream_st*) {
  if (gpu::host::is_capturing()) gpu::host::spoil_capture("waiting for the stream");
}

CUevent_st* create_event(int, bool) { return new CUevent_st; }
void destroy(CUevent_st* event) noexcept { delete event; }
void record(CUevent_st* event, CUstream_st*) { event->passed = std::chrono::steady_clock::now(); }
void wait(CUstream_st*, CUevent_st*) {}
bool is_done(CUevent_st*) { return true; }
void synchronize(CUevent_st*) {
  if (gpu::host::is_capturing()) gpu::host::spoil_capture("waiting for an event");
}
double elapsed_ms(CUevent_st* from, CUevent_st* to) {
  return std::chrono::duration<double, std::milli>(to->passed - from->passed).count();
}

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

void* allocate_pinned(int64_t bytes) {
  const std::lock_guard lock(g_mutex);
  std::byte* const memory = new (std::nothrow) std::byte[size_t(bytes)];
  if (memory) g_pinned[memory] = bytes;
  return memory;
}

void release_pinned(void* memory) noexcept {
  const std::lock_guard lock(g_mutex);
  g_pinned.erase(static_cast<std::byte*>(memory));
  delete[] static_cast<std::byte*>(memory);
}

Memory memory(int) {
  const std::lock_guard lock(g_mutex);
  return {kDeviceBytes - g_used_bytes, kDeviceBytes};
}

void copy_in(CUstream_st*, void* device, const void* host, int64_t bytes) {
  copy(host, bytes, [=] { gpu::copy_in(device, host, size_t(bytes)); });
}
void copy_out(CUstream_st*, void* host, const void* device, int64_t bytes) {
  copy(host, bytes, [=] { gpu::copy_out(host, device, size_t(bytes)); });
}
void copy_on_device(CUstream_st*, void* to, const void* from, int64_t bytes) {
  copy(nullptr, bytes, [=] {
    const std::unique_ptr<std::byte[]> here(new std::byte[size_t(bytes)]);
    gpu::copy_out(here.get(), from, size_t(bytes));
    gpu::copy_in(to, here.get(), size_t(bytes));
  });
}

void begin_capture(CUstream_st*) { gpu::host::begin_capture(); }

CUgraphExec_st* end_capture(CUstream_st*, int64_t times) {
  bool good = false;
  std::vector<std::function<void()>> work = gpu::host::end_capture(good);
  return good ? new CUgraphExec_st{std::move(work), times} : nullptr;
}

void launch(CUgraphExec_st* graph, CUstream_st*) {
  for (int64_t i = 0; i < graph->times; ++i)
    for (const std::function<void()>& work : graph->work) work();
}

void destroy(CUgraphExec_st* graph) noexcept { delete graph; }

}  // namespace cuda::driver
}  // namespace fathom
