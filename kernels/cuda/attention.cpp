#include "kernels/cuda/attention.h"

#include "kernels/attention.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::attention_forward(CudaStream stream, const Tensor& qkv, int64_t heads, Tensor& y,
                                Tensor& lse) {
  cuda::launch_half("attention", stream, {qkv}, [&]<class T>(Tag<T>) {
    cuda::attention_forward(stream.handle, qkv.device_data<T>(), y.device_data<T>(),
                            cuda::device_data_or_null<float>(lse), y.dim(0), y.dim(1), heads,
                            y.dim(2) / heads);
  });
}

}  // namespace fathom
