#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fathom {

/// An NVIDIA GPU that this process can use.
struct CudaDevice {
  std::string name;
  int compute_major = 0, compute_minor = 0;
  int64_t memory_bytes = 0;
};

/// The GPUs of this machine; empty where there is none, no driver, or no CUDA in the build.
std::vector<CudaDevice> cuda_devices();

/// Why cuda_devices() is empty, in words; empty when it is not.
std::string cuda_unavailable_reason();

}  // namespace fathom
