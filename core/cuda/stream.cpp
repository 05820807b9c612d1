#include <map>
#include <mutex>

#include "core/cuda.h"
#include "core/cuda/driver.h"
#include "core/stream.h"

namespace fathom::cuda {

// One stream a device, made on first use; never destroyed, because static tensors are released
// after everything else. It is not the legacy default stream, which cannot be captured.
static CUstream_st* compute_stream(int device) {
  static std::mutex mutex;
  static auto* const streams = new std::map<int, CUstream_st*>;
  const std::lock_guard lock(mutex);
  CUstream_st*& stream = (*streams)[device];
  if (!stream) {
    const int64_t count = int64_t(cuda_devices().size());
    check(count > 0, "cuda:", device, " cannot be used: ", cuda_unavailable_reason());
    check(device >= 0 && device < count, "cuda:", device,
          " cannot be used: this machine has cuda:0 to cuda:", count - 1);
    stream = driver::create_stream(device);
  }
  return stream;
}

CudaStream current_stream(int device) {
  thread_local CudaStream last{nullptr, -1};
  if (last.device != device) {
    last = {compute_stream(device), device};
    driver::select(device);
  }
  return last;
}

}  // namespace fathom::cuda
