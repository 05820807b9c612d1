#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/allocator.h"

namespace fathom {

/// An NVIDIA GPU that this process can use.
struct CudaDevice {
  std::string name;
  int compute_major = 0, compute_minor = 0;
  int64_t memory_bytes = 0;
  int multiprocessors = 0;
  int64_t l2_cache_bytes = 0;
  double clock_mhz = 0;  // that it may reach
};

/// The GPUs of this machine; empty where there is none, no driver, or no CUDA in the build.
std::vector<CudaDevice> cuda_devices();

/// Why cuda_devices() is empty, in words; empty when it is not.
std::string cuda_unavailable_reason();

/// Memory of a device that nobody uses, what this process cached of it included. Throws Error if
/// there is no such device.
int64_t cuda_free_bytes(int device);

/// What the tensors of this process use of it.
MemoryStatistics cuda_memory_statistics(int device);

/// Keeps what libraries found out about shapes in files of this folder, for the next run.
void cuda_keep_plans(const std::filesystem::path& folder);

/// Waits for what this thread queued to the device: for timing.
void cuda_synchronize(int device);

}  // namespace fathom
