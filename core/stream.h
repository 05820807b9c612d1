#pragma once

#include <concepts>
#include <source_location>
#include <string_view>
#include <utility>

#include "core/device.h"
#include "core/error.h"
#include "core/profile.h"

struct CUstream_st;

namespace fathom {

/// Where work is queued. The CPU has no queue: the type only picks the overload.
struct CpuStream {};

/// A queue of a CUDA device. Ops use cuda::current_stream(), core/cuda/stream.h.
struct CudaStream {
  CUstream_st* handle = nullptr;
  int device = 0;
};

namespace cuda {
/// The stream of this thread for the device, which becomes the thread's current one. Throws Error
/// if this machine has no such device.
CudaStream current_stream(int device);
}  // namespace cuda

namespace detail {
// What visit_stream does; allocations want it without the times of a device.
template <class F>
decltype(auto) visit(Device device, F&& f, std::source_location where,
                     [[maybe_unused]] bool timed) {
#ifdef FATHOM_CUDA
  if (device.type == Device::Type::cuda) {
    if constexpr (std::invocable<F, CudaStream>) {
      const CudaStream stream = cuda::current_stream(device.index);
      const profile::Op op(where, timed ? &stream : nullptr);
      return f(stream);
    } else {
      const std::string_view file = where.file_name();
      fail_at(where, "no CUDA kernel for this operation yet (", file.substr(file.rfind('/') + 1),
              "); move its inputs with to(kCpu)");
    }
  }
#endif
  if (device.type != Device::Type::cpu)
    fail_at(where, device, " cannot be used: this build has no CUDA kernels");
  const profile::Op op(where);
  return f(CpuStream{});
}
}  // namespace detail

/// Calls f(CpuStream) or f(CudaStream) for the device of the data. A build without CUDA has no
/// second branch. An f that takes a CpuStream alone is an operation without a CUDA kernel. In a
/// profile the call is an op named after the calling function.
template <class F>
decltype(auto) visit_stream(Device device, F&& f,
                            std::source_location where = std::source_location::current()) {
  return detail::visit(device, std::forward<F>(f), where, true);
}

/// The same for what gives the device nothing to do.
template <class F>
decltype(auto) visit_host(Device device, F&& f,
                          std::source_location where = std::source_location::current()) {
  return detail::visit(device, std::forward<F>(f), where, false);
}

}  // namespace fathom
