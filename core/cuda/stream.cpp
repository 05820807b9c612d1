#include "core/cuda/stream.h"

#include <map>
#include <mutex>

#include "core/cuda.h"

namespace fathom::cuda {
namespace {

void check_device(int device) {
  const int64_t count = int64_t(cuda_devices().size());
  check(count > 0, "cuda:", device, " cannot be used: ", cuda_unavailable_reason());
  check(device >= 0 && device < count, "cuda:", device,
        " cannot be used: this machine has cuda:0 to cuda:", count - 1);
}

// One stream a device, made on first use; never destroyed, because static tensors are released
// after everything else. It is not the legacy default stream, which cannot be captured.
CUstream_st* compute_stream(int device) {
  static std::mutex mutex;
  static auto* const streams = new std::map<int, CUstream_st*>;
  const std::lock_guard lock(mutex);
  CUstream_st*& stream = (*streams)[device];
  if (!stream) {
    check_device(device);
    stream = driver::create_stream(device);
  }
  return stream;
}

thread_local CudaStream t_scope{nullptr, -1};  // of the innermost StreamScope
thread_local CudaStream t_last{nullptr, -1};   // compute stream of the device used last
thread_local int t_selected = -1;

}  // namespace

CudaStream current_stream(int device) {
  if (t_selected != device) {
    compute_stream(device);  // which checks the device
    driver::select(device);
    t_selected = device;
  }
  if (t_scope.device == device) return t_scope;
  if (t_last.device != device) t_last = {compute_stream(device), device};
  return t_last;
}

void synchronize(int device) { driver::synchronize(current_stream(device).handle); }

Event::Event(int device, Use use) {
  compute_stream(device);
  handle_.reset(driver::create_event(device, use == Use::timing));
}

Stream::Stream(int device) : device_(device) {
  compute_stream(device);
  handle_.reset(driver::create_stream(device));
}

StreamScope::StreamScope(CudaStream stream) : previous_(t_scope) { t_scope = stream; }
StreamScope::~StreamScope() { t_scope = previous_; }

}  // namespace fathom::cuda
