#include "core/cuda.h"

#ifdef FATHOM_CUDA
#include <cuda_runtime_api.h>
#endif

namespace fathom {

#ifdef FATHOM_CUDA

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
    devices.push_back(
        {properties.name, properties.major, properties.minor, int64_t(properties.totalGlobalMem)});
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

#else

std::vector<CudaDevice> cuda_devices() { return {}; }
std::string cuda_unavailable_reason() { return "built without CUDA"; }

#endif

}  // namespace fathom
