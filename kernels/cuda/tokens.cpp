#include "kernels/cuda/tokens.h"

#include "kernels/cuda/launch.h"
#include "kernels/tokens.h"

namespace fathom {

void kernels::assemble_tokens_forward(CudaStream stream, const Tensor& patches, const Tensor& cls,
                                      const Tensor& positions, const Tensor& registers, Tensor& y) {
  const int64_t B = y.dim(0), P = patches.dim(1), R = y.dim(1) - 1 - P, D = y.dim(2);
  check(y.numel() < int64_t(1) << 32, "assemble_tokens: too many tokens for CUDA, ", y.shape());
  cuda::launch_float("assemble_tokens", stream, {patches, cls, positions}, [&]<class T>(Tag<T>) {
    cuda::assemble_tokens_forward(
        stream.handle, patches.device_data<T>(), cls.device_data<T>(), positions.device_data<T>(),
        cuda::device_data_or_null<T>(registers), y.device_data<T>(), B, P, R, D);
  });
}

void kernels::assemble_tokens_backward(CudaStream stream, const Tensor& dy, Tensor& dpatches,
                                       Tensor& dcls, Tensor& dpositions, Tensor& dregisters) {
  const int64_t B = dy.dim(0), P = dpatches.dim(1), R = dy.dim(1) - 1 - P, D = dy.dim(2);
  cuda::launch_float("gradient of assemble_tokens", stream, {dy}, [&]<class T>(Tag<T>) {
    cuda::assemble_tokens_backward(stream.handle, dy.device_data<T>(), dpatches.device_data<T>(),
                                   dcls.device_data<T>(), dpositions.device_data<T>(),
                                   cuda::device_data_or_null<T>(dregisters), B, P, R, D);
  });
}

}  // namespace fathom
