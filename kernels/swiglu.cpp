#include "kernels/swiglu.h"

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/cpu/pointwise_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom {

Tensor swiglu(const Tensor& x_in) {
  check(x_in.rank() >= 1 && x_in.dim(-1) % 2 == 0,
        "swiglu: the last axis holds gate and value, so it must be even, but x is ", x_in.shape());
  const Tensor x = x_in.contiguous();
  Shape shape = x.shape();
  shape[shape.rank() - 1] /= 2;
  Tensor y = empty(shape, x.options());
  visit_stream(x.device(), [&](auto stream) { kernels::swiglu_forward(stream, x, y); });
  return record(y, {x_in}, [x](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(x);
    visit_stream(x.device(), [&](auto stream) { kernels::swiglu_backward(stream, x, dy, dx); });
    return {dx};
  });
}

constexpr int64_t kRows = 8;

void kernels::swiglu_forward(CpuStream, const Tensor& x, Tensor& y) {
  const int64_t h = y.dim(-1);
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const auto loop = cpu::loops<T>(cpu::pointwise()).swiglu;
    const auto* px = cpu::stored(x.data<T>());
    auto* py = cpu::stored(y.data<T>());
    parallel_for(y.numel() / h, kRows, [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) loop(px + n * 2 * h, py + n * h, h);
    });
  });
}

void kernels::swiglu_backward(CpuStream, const Tensor& x, const Tensor& dy, Tensor& dx) {
  const int64_t h = dy.dim(-1);
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const auto loop = cpu::loops<T>(cpu::pointwise()).swiglu_backward;
    const auto *px = cpu::stored(x.data<T>()), *pdy = cpu::stored(dy.data<T>());
    auto* pdx = cpu::stored(dx.data<T>());
    parallel_for(dy.numel() / h, kRows, [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) loop(px + n * 2 * h, pdy + n * h, pdx + n * 2 * h, h);
    });
  });
}

}  // namespace fathom
