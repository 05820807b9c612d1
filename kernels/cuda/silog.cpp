#include "kernels/cuda/silog.h"

#include "kernels/cuda/launch.h"
#include "kernels/silog.h"

namespace fathom {

static cuda::Silog constants_of(const SilogOptions& options) {
  return {options.factor, options.weight, options.eps, options.unbiased, options.least_count};
}

void kernels::silog_forward(CudaStream stream, const Tensor& prediction, const Tensor& target,
                            const Tensor& mask, const Tensor& count, const SilogOptions& options,
                            Tensor& mean, Tensor& loss) {
  const int64_t B = prediction.dim(0), N = prediction.numel() / B;
  cuda::launch("silog", stream, {prediction, target, mask}, [&] {
    Tensor workspace = empty({cuda::silog_workspace(B, N)}, mean.options());
    cuda::silog_forward(stream.handle, prediction.device_data<float>(), target.device_data<float>(),
                        mask.device_data<bool>(), count.device_data<int32_t>(),
                        constants_of(options), mean.device_data<double>(),
                        loss.device_data<float>(), workspace.device_data<double>(), B, N);
  });
}

void kernels::silog_backward(CudaStream stream, const Tensor& prediction, const Tensor& target,
                             const Tensor& mask, const Tensor& count, const SilogOptions& options,
                             const Tensor& mean, const Tensor& loss, const Tensor& dloss,
                             Tensor& dprediction) {
  const int64_t B = prediction.dim(0), N = prediction.numel() / B;
  cuda::launch("gradient of silog", stream, {prediction, target, mask}, [&] {
    cuda::silog_backward(stream.handle, prediction.device_data<float>(),
                         target.device_data<float>(), mask.device_data<bool>(),
                         count.device_data<int32_t>(), constants_of(options),
                         mean.device_data<double>(), loss.device_data<float>(),
                         dloss.device_data<float>(), dprediction.device_data<float>(), B, N);
  });
}

}  // namespace fathom
