#include "kernels/cuda/patchify.h"

#include "kernels/cuda/launch.h"
#include "kernels/patch_embed.h"

namespace fathom {

Tensor kernels::patchify(CudaStream stream, const Tensor& x, int64_t p) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  Tensor rows = empty({B, (H / p) * (W / p), cuda::patch_columns(p, C)}, x.options());
  cuda::launch_float("patch_embed", stream, {x}, [&]<class T>(Tag<T>) {
    cuda::patchify(stream.handle, x.device_data<T>(), rows.device_data<T>(), B, H, W, C, p);
  });
  return rows;
}

}  // namespace fathom
