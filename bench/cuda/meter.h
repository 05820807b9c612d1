#pragma once

#include "bench/meter.h"
#include "bench/report.h"

namespace fathom::bench {

/// How much the ceilings of a device go over; 0: what suits it.
struct CudaMeterOptions {
  int64_t copied_bytes = 0;   // of a copy on the device, read and written
  int64_t product_side = 0;   // of the square matrices of a product
  int64_t flushed_bytes = 0;  // read before a call that is to find the caches full
};

/// Of a CUDA device, timed by events. Work is captured as a graph of several calls in a row, and
/// the graph is replayed once untimed before it is timed, so that the time to launch it is hidden;
/// the time of flushed calls is that of a graph of flushes and calls, less that of the flushes
/// alone. The ceilings are those of a large copy on the device and of a product by cuBLASLt of
/// random numbers, TF32 off. Throws Error if the device cannot be used.
Meter cuda_meter(int device, CudaMeterOptions options = {});

/// The device and the libraries that it is used through.
GpuFingerprint cuda_fingerprint(int device);
std::map<std::string, std::string> cuda_libraries();

}  // namespace fathom::bench
