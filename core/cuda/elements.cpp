#include "core/elements.h"

#include <cstring>

#include "core/cuda/driver.h"
#include "core/cuda/elements.h"
#include "core/cuda/memory.h"

namespace fathom {

static std::byte* bytes_of(const Tensor& x) {
  return x.storage()->data() + x.offset() * size_of(x.dtype());
}

void kernels::fill(CudaStream stream, double value, Tensor& x) {
  uint64_t bits = 0;
  visit_any(x.dtype(), [&]<class T>(Tag<T>) {
    const T v = cast<T>(value);
    std::memcpy(&bits, &v, sizeof v);
  });
  cuda::fill_elements(stream.handle, bytes_of(x), int(size_of(x.dtype())), bits, x.numel());
}

void kernels::copy_elements(CudaStream stream, const CopyPlan& plan, const Tensor& from,
                            Tensor& to) {
  const int rank = plan.extents.rank();
  if (from.dtype() == to.dtype() && rank == 1 && plan.from[0] == 1 && plan.to[0] == 1)
    return cuda::driver::copy_on_device(stream.handle, bytes_of(to), bytes_of(from), to.bytes());
  cuda::ElementIndex index{.rank = rank, .extent = {}, .from = {}, .to = {}};
  for (int axis = 0; axis < rank; ++axis) {
    index.extent[axis] = plan.extents[axis];
    index.from[axis] = plan.from[axis];
    index.to[axis] = plan.to[axis];
  }
  cuda::copy_elements(stream.handle, index, from.dtype(), bytes_of(from), to.dtype(), bytes_of(to));
}

void kernels::add_in_place(CudaStream stream, const Tensor& b, Tensor& a) {
  cuda::add_elements(stream.handle, a.dtype(), bytes_of(b), bytes_of(a), a.numel());
}

void kernels::transfer(CudaStream stream, const Tensor& from, Tensor& to) {
  if (from.device().type == Device::Type::cpu) {
    cuda::driver::copy_in(stream.handle, bytes_of(to), bytes_of(from), to.bytes());
  } else if (to.device().type == Device::Type::cpu) {
    cuda::driver::copy_out(stream.handle, bytes_of(to), bytes_of(from), to.bytes());
    cuda::driver::synchronize(stream.handle);
  } else {  // what the source's stream is still computing must be there
    const CudaStream there = cuda::current_stream(to.device().index);
    cuda::driver::synchronize(cuda::current_stream(from.device().index).handle);
    cuda::driver::copy_on_device(there.handle, bytes_of(to), bytes_of(from), to.bytes());
    cuda::record_use(from, there);  // it may be a copy that its own stream gives to another tensor
  }
}

}  // namespace fathom
