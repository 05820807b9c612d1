#include "kernels/weighted_mean.h"

#include "core/autograd.h"
#include "kernels/masks.h"

namespace fathom {

Tensor weighted_mean(const Tensor& x_in, const Tensor& weights_in) {
  check(x_in.rank() == 1 && weights_in.shape() == x_in.shape(),
        "weighted_mean: x and weights must be [B], but are ", x_in.shape(), " and ",
        weights_in.shape());
  check_same_type("weighted_mean", x_in, weights_in);
  const Tensor x = x_in.contiguous(), weights = weights_in.detach().contiguous();
  Tensor y = empty({}, x.options());
  visit_stream(x.device(),
               [&](auto stream) { kernels::weighted_mean_forward(stream, x, weights, y); });
  return record(y, {x_in}, [weights](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(weights);
    visit_stream(dy.device(),
                 [&](auto stream) { kernels::weighted_mean_backward(stream, weights, dy, dx); });
    return {dx};
  });
}

// ---- CPU

template <class T>
static double total(const T* weights, int64_t B) {
  double sum = 0;
  for (int64_t b = 0; b < B; ++b) sum += double(weights[b]);
  return sum;
}

void kernels::weighted_mean_forward(CpuStream, const Tensor& x, const Tensor& weights, Tensor& y) {
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T *px = x.data<T>(), *pw = weights.data<T>();
    double sum = 0;
    for (int64_t b = 0; b < x.numel(); ++b)
      if (pw[b] != 0) sum += double(pw[b]) * double(px[b]);
    const double weight = total(pw, x.numel());
    *y.data<T>() = weight > 0 ? T(sum / weight) : T(0);
  });
}

void kernels::weighted_mean_backward(CpuStream, const Tensor& weights, const Tensor& dy,
                                     Tensor& dx) {
  visit_loss(dy.dtype(), [&]<class T>(Tag<T>) {
    const T* pw = weights.data<T>();
    T* pdx = dx.data<T>();
    const double weight = total(pw, weights.numel()), d = double(*dy.data<T>());
    for (int64_t b = 0; b < weights.numel(); ++b)
      pdx[b] = weight > 0 ? T(d * double(pw[b]) / weight) : T(0);
  });
}

}  // namespace fathom
