#include "kernels/cuda/adamw.h"

#include <utility>
#include <vector>

#include "kernels/adamw.h"
#include "kernels/cuda/launch.h"

namespace fathom {

void kernels::adamw(CudaStream stream, const AdamwStep& step, std::span<AdamwSlot> slots) {
  const cuda::AdamwConstants constants{.m_rate = float(1 - step.beta1),
                                       .v_keep = float(step.beta2),
                                       .v_rate = float(1 - step.beta2),
                                       .eps = float(step.eps)};
  std::vector<cuda::AdamwTensor> tensors;
  for (AdamwSlot& slot : slots) {
    check(slot.weight.dtype() == DType::f32, "adamw: CUDA kernels update f32 weights, not ",
          slot.weight.dtype());
    tensors.push_back({.grad = std::as_const(slot.grad).device_data<float>(),
                       .weight = slot.weight.device_data<float>(),
                       .m = slot.m.device_data<float>(),
                       .v = slot.v.device_data<float>(),
                       .average = cuda::device_data_or_null<float>(slot.average),
                       .rounded = cuda::device_data_or_null<bfloat16>(slot.rounded),
                       .numel = slot.weight.numel(),
                       .lr = float(slot.lr),
                       .decay = float(slot.decay)});
  }
  const auto* numbers =
      reinterpret_cast<const AdamwNumbers*>(cuda::device_data_or_null<double>(step.numbers));
  cuda::launch("adamw", stream, {}, [&] {
    cuda::adamw(stream.handle, constants, adamw_numbers(step), numbers, tensors);
  });
}

void kernels::sum_of_squares(CudaStream stream, std::span<const Tensor> tensors, Tensor& y) {
  std::vector<cuda::FloatArray> arrays;
  for (const Tensor& t : tensors) {
    check(t.dtype() == DType::f32, "sum_of_squares: CUDA kernels read f32, not ", t.dtype());
    arrays.push_back({t.device_data<float>(), t.numel()});
  }
  cuda::launch("sum_of_squares", stream, {}, [&] {
    Tensor workspace = empty({cuda::sum_of_squares_workspace(arrays)}, y.options());
    cuda::sum_of_squares(stream.handle, arrays, workspace.device_data<double>(),
                         y.device_data<double>());
  });
}

}  // namespace fathom
