#include "kernels/gelu.h"

#include "core/autograd.h"
#include "kernels/cpu/pointwise.h"

namespace fathom {

Tensor gelu(const Tensor& x_in) {
  const Tensor x = x_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) { kernels::gelu_forward(stream, x, y); });
  return record(y, {x_in}, [x](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(x);
    visit_stream(x.device(), [&](auto stream) { kernels::gelu_backward(stream, x, dy, dx); });
    return {dx};
  });
}

void kernels::gelu_forward(CpuStream, const Tensor& x, Tensor& y) {
  cpu::run_pointwise([](const auto& loops) { return loops.gelu; }, x, y);
}

void kernels::gelu_backward(CpuStream, const Tensor& x, const Tensor& dy, Tensor& dx) {
  cpu::run_pointwise([](const auto& loops) { return loops.gelu_backward; }, x, dy, dx);
}

}  // namespace fathom
