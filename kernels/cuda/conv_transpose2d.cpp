#include "kernels/cuda/conv_transpose2d.h"

#include "kernels/conv_transpose2d.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::blocks_to_map(CudaStream stream, const Blocks& n, const Tensor& blocks,
                            const Tensor& bias, Tensor& map) {
  cuda::launch_float("conv_transpose2d", stream, {blocks}, [&]<class T>(Tag<T>) {
    cuda::blocks_to_map(stream.handle, blocks.device_data<T>(), cuda::device_data_or_null<T>(bias),
                        map.device_data<T>(), n.B, n.H, n.W, n.s, n.O);
  });
}

void kernels::map_to_blocks(CudaStream stream, const Blocks& n, const Tensor& map, Tensor& blocks) {
  cuda::launch_float("conv_transpose2d (gradient)", stream, {map}, [&]<class T>(Tag<T>) {
    cuda::map_to_blocks(stream.handle, map.device_data<T>(), blocks.device_data<T>(), n.B, n.H, n.W,
                        n.s, n.O);
  });
}

}  // namespace fathom
