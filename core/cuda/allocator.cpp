#include "core/allocator.h"

#include "core/cuda/driver.h"

namespace fathom::allocator {

std::byte* allocate(CudaStream stream, int64_t bytes, int64_t element_bytes) {
  void* const memory = cuda::driver::allocate(stream.device, bytes, element_bytes);
  if (!memory) {
    const cuda::driver::Memory state = cuda::driver::memory(stream.device);
    fail("out of memory on cuda:", stream.device, ": ", bytes, " bytes asked for, ",
         state.free_bytes, " of ", state.total_bytes, " free; reduce the batch or the image size");
  }
  return static_cast<std::byte*>(memory);
}

void release(CudaStream stream, std::byte* block) noexcept {
  cuda::driver::release(stream.device, block);
}

}  // namespace fathom::allocator
