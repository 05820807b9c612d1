#include "kernels/layer_scale.h"

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/cpu/pointwise_kernels.h"
#include "kernels/cpu/stored.h"
#include "kernels/reduce.h"

namespace fathom {

Tensor layer_scale(const Tensor& x_in, const Tensor& gamma_in) {
  check(x_in.rank() >= 1, "layer_scale: x must be [..., C], but is a scalar");
  check(gamma_in.shape() == Shape{x_in.dim(-1)}, "layer_scale: gamma must be [", x_in.dim(-1),
        "], the last axis of x ", x_in.shape(), ", but is ", gamma_in.shape(),
        "; do weights and config describe the same model?");
  check_same_type("layer_scale", x_in, gamma_in);

  const Tensor x = x_in.contiguous(), gamma = gamma_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) { kernels::layer_scale_forward(stream, x, gamma, y); });

  return record(y, {x_in, gamma_in}, [x, gamma](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(x), dgamma = empty_like(gamma);
    visit_stream(x.device(), [&](auto stream) {
      kernels::layer_scale_forward(stream, dy, gamma, dx);  // diagonal, so its own adjoint
      kernels::column_dot(stream, dy, x, dgamma);           // dgamma[c] = sum_n dy[n,c] * x[n,c]
    });
    return {dx, dgamma};
  });
}

void kernels::layer_scale_forward(CpuStream, const Tensor& x, const Tensor& gamma, Tensor& y) {
  const int64_t C = gamma.numel();
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const auto multiply = cpu::loops<T>(cpu::pointwise()).mul;
    const auto *px = cpu::stored(x.data<T>()), *pg = cpu::stored(gamma.data<T>());
    auto* py = cpu::stored(y.data<T>());
    parallel_for(x.numel() / C, 16, [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) multiply(px + n * C, pg, py + n * C, C);
    });
  });
}

}  // namespace fathom
