#include "core/cuda/driver.h"

#include <cuda_runtime_api.h>

#include <memory>

#include "core/cuda.h"
#include "core/error.h"

namespace fathom {

// The runtime is linked statically and finds the driver at run time, so a machine without one gets
// an error here instead of a program that does not start.
static cudaError_t count_devices(int* count) {
  *count = 0;
  const cudaError_t error = cudaGetDeviceCount(count);
  cudaGetLastError();  // the runtime would report it again after the next launch
  return error;
}

static std::string cuda_version(int version) {  // 13000 is 13.0
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::vector<CudaDevice> cuda_devices() {
  int count = 0;
  count_devices(&count);
  std::vector<CudaDevice> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) break;  // indices stay true
    int clock_khz = 0;  // not among the properties any more
    cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, i);
    devices.push_back({.name = properties.name,
                       .compute_major = properties.major,
                       .compute_minor = properties.minor,
                       .memory_bytes = int64_t(properties.totalGlobalMem),
                       .multiprocessors = properties.multiProcessorCount,
                       .l2_cache_bytes = properties.l2CacheSize,
                       .clock_mhz = clock_khz / 1000.0});
  }
  return devices;
}

std::string cuda_unavailable_reason() {
  int count = 0, driver = 0;
  const cudaError_t error = count_devices(&count);
  if (error == cudaSuccess) return count > 0 ? "" : "no device";
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver";
  if (error == cudaErrorInsufficientDriver)
    return "driver too old: it supports CUDA " + cuda_version(driver) + ", this build needs " +
           cuda_version(CUDART_VERSION);
  if (error == cudaErrorNoDevice) return "no device";
  return cudaGetErrorString(error);
}

namespace cuda::driver {

// Errors of kernels appear at the next call, whatever it is.
static void must(cudaError_t error, const auto&... tried) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  fail("CUDA: ", tried..., ": ", cudaGetErrorString(error));
}

static int current_device() {
  int device = -1;
  cudaGetDevice(&device);
  return device;
}

// For one call on a device that may not be the thread's current one.
struct Selected {
  explicit Selected(int device) : before(current_device()) {
    if (device != before) must(cudaSetDevice(device), "select cuda:", device);
  }
  ~Selected() {
    if (current_device() != before) cudaSetDevice(before);
  }
  const int before;
};

Versions versions() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  return {.driver = driver > 0 ? cuda_version(driver) : "",
          .runtime = cuda_version(CUDART_VERSION)};
}

std::string pci_bus_id(int device) {
  char id[32] = "";
  must(cudaDeviceGetPCIBusId(id, sizeof id, device), "the bus of cuda:", device);
  return id;
}

void select(int device) { must(cudaSetDevice(device), "select cuda:", device); }

CUstream_st* create_stream(int device) {
  const Selected selected(device);
  cudaStream_t stream = nullptr;
  must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
       "create a stream on cuda:", device);
  return stream;
}

void destroy(CUstream_st* stream) noexcept { cudaStreamDestroy(stream); }

void synchronize(CUstream_st* stream) {
  must(cudaStreamSynchronize(stream), "waiting for cuda:", current_device());
}

CUevent_st* create_event(int device, bool timed) {
  const Selected selected(device);
  cudaEvent_t event = nullptr;
  must(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming),
       "create an event on cuda:", device);
  return event;
}

void destroy(CUevent_st* event) noexcept { cudaEventDestroy(event); }

void record(CUevent_st* event, CUstream_st* stream) {
  must(cudaEventRecord(event, stream), "record an event");
}

void wait(CUstream_st* stream, CUevent_st* event) {
  must(cudaStreamWaitEvent(stream, event), "wait for an event");
}

bool is_done(CUevent_st* event) {
  const cudaError_t error = cudaEventQuery(event);
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  must(error, "query an event");
  return true;
}

void synchronize(CUevent_st* event) { must(cudaEventSynchronize(event), "waiting for an event"); }

double elapsed_ms(CUevent_st* from, CUevent_st* to) {
  float ms = 0;
  must(cudaEventElapsedTime(&ms, from, to), "the time between two events");
  return ms;
}

void* allocate(int device, int64_t bytes, int64_t) {
  const Selected selected(device);
  void* memory = nullptr;
  // Memory may be asked for while the thread captures: cudaMalloc itself is not captured.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  must(cudaThreadExchangeStreamCaptureMode(&mode), "allocate on cuda:", device);
  const cudaError_t error = cudaMalloc(&memory, size_t(bytes));
  must(cudaThreadExchangeStreamCaptureMode(&mode), "allocate on cuda:", device);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  must(error, "allocate ", bytes, " bytes on cuda:", device);
  return memory;
}

void release(int, void* memory) noexcept { cudaFree(memory); }

void* allocate_pinned(int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMallocHost(&memory, size_t(bytes));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  must(error, "allocate ", bytes, " bytes of pinned memory");
  return memory;
}

void release_pinned(void* memory) noexcept { cudaFreeHost(memory); }

Memory memory(int device) {
  const Selected selected(device);
  size_t free = 0, total = 0;
  must(cudaMemGetInfo(&free, &total), "memory of cuda:", device);
  return {int64_t(free), int64_t(total)};
}

static void copy(CUstream_st* stream, void* to, const void* from, int64_t bytes,
                 cudaMemcpyKind kind) {
  must(cudaMemcpyAsync(to, from, size_t(bytes), kind, stream), "copy of ", bytes,
       " bytes on cuda:", current_device());
}

static bool is_pinned(const void* host) {
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, host);
  cudaGetLastError();  // older runtimes call memory that they do not know an error
  return error == cudaSuccess && attributes.type == cudaMemoryTypeHost;
}

// Where the device reads ordinary memory by itself, nothing is staged: the copy may still be under
// way when the call returns.
void copy_in(CUstream_st* stream, void* device, const void* host, int64_t bytes) {
  copy(stream, device, host, bytes, cudaMemcpyHostToDevice);
  if (!is_pinned(host)) synchronize(stream);
}
void copy_out(CUstream_st* stream, void* host, const void* device, int64_t bytes) {
  copy(stream, host, device, bytes, cudaMemcpyDeviceToHost);
}
void copy_on_device(CUstream_st* stream, void* to, const void* from, int64_t bytes) {
  copy(stream, to, from, bytes, cudaMemcpyDefault);
}

void begin_capture(CUstream_st* stream) {
  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
       "begin a capture on cuda:", current_device());
}

namespace {
struct DestroyGraph {
  void operator()(CUgraph_st* graph) const noexcept { cudaGraphDestroy(graph); }
};
using OwnedGraph = std::unique_ptr<CUgraph_st, DestroyGraph>;

// A chain of copies.
OwnedGraph repeated(cudaGraph_t graph, int64_t times) {
  cudaGraph_t made = nullptr;
  must(cudaGraphCreate(&made, 0), "repeat a captured step");
  OwnedGraph chain(made);
  cudaGraphNode_t last = nullptr;
  for (int64_t i = 0; i < times; ++i) {
    const cudaGraphNode_t before = last;
    must(cudaGraphAddChildGraphNode(&last, made, before ? &before : nullptr, before ? 1 : 0, graph),
         "repeat a captured step");
  }
  return chain;
}
}  // namespace

CUgraphExec_st* end_capture(CUstream_st* stream, int64_t times) {
  cudaGraph_t captured = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream, &captured);
  if (error != cudaSuccess || !captured) {
    cudaGetLastError();
    return nullptr;
  }
  OwnedGraph graph(captured);
  if (times > 1) graph = repeated(captured, times);
  cudaGraphExec_t ready = nullptr;
  must(cudaGraphInstantiate(&ready, graph.get(), 0),
       "make a captured step ready on cuda:", current_device());
  return ready;
}

void launch(CUgraphExec_st* graph, CUstream_st* stream) {
  must(cudaGraphLaunch(graph, stream), "launch a captured step on cuda:", current_device());
}

void destroy(CUgraphExec_st* graph) noexcept { cudaGraphExecDestroy(graph); }

}  // namespace cuda::driver
}  // namespace fathom
