#include "kernels/cuda/attention.h"

#include "kernels/attention.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::attention_forward(CudaStream stream, const Tensor& qkv, int64_t heads, Tensor& y,
                                Tensor& lse) {
  cuda::launch_float("attention", stream, {qkv}, [&]<class T>(Tag<T>) {
    cuda::attention_forward(stream.handle, qkv.device_data<T>(), y.device_data<T>(),
                            cuda::device_data_or_null<float>(lse), y.dim(0), y.dim(1), heads,
                            y.dim(2) / heads);
  });
}

void kernels::attention_backward(CudaStream stream, const Tensor& qkv, int64_t heads,
                                 const Tensor& y, const Tensor& lse, const Tensor& dy,
                                 Tensor& dqkv) {
  Tensor delta = empty_like(lse);
  cuda::launch_float("attention backward", stream, {qkv}, [&]<class T>(Tag<T>) {
    cuda::attention_backward(stream.handle, qkv.device_data<T>(), y.device_data<T>(),
                             lse.device_data<float>(), dy.device_data<T>(),
                             delta.device_data<float>(), dqkv.device_data<T>(), y.dim(0), y.dim(1),
                             heads, y.dim(2) / heads);
  });
}

}  // namespace fathom
