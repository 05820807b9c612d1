#include "kernels/normalize_affine.h"

#include "core/autograd.h"
#include "kernels/cpu/image_sums.h"
#include "kernels/masks.h"

namespace fathom {

Tensor normalize_affine(const Tensor& x_in, const Tensor& mask_in,
                        const MaskedStatistics& statistics) {
  check_masked("normalize_affine", x_in, mask_in);
  check(statistics.median.shape() == Shape{x_in.dim(0)},
        "normalize_affine: ", statistics.median.shape(), " statistics for x ", x_in.shape());
  const Tensor x = x_in.contiguous(), mask = mask_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(), [&](auto stream) {
    kernels::normalize_affine_forward(stream, x, mask, statistics.median, statistics.deviation, y);
  });
  return record(y, {x_in}, [y = y.detach(), mask, s = statistics](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(y);
    visit_stream(y.device(), [&](auto stream) {
      kernels::normalize_affine_backward(stream, y, mask, s.deviation, s.index, s.count, dy, dx);
    });
    return {dx};
  });
}

// ---- CPU

void kernels::normalize_affine_forward(CpuStream, const Tensor& x, const Tensor& mask,
                                       const Tensor& median, const Tensor& deviation, Tensor& y) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  const bool* pm = mask.data<bool>();
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T *px = x.data<T>(), *pt = median.data<T>(), *ps = deviation.data<T>();
    T* py = y.data<T>();
    cpu::for_each_piece(B, N, [=](int64_t b, int64_t begin, int64_t end) {
      const T t = pt[b], s = ps[b];
      for (int64_t i = b * N + begin; i < b * N + end; ++i) py[i] = pm[i] ? (px[i] - t) / s : T(0);
    });
  });
}

void kernels::normalize_affine_backward(CpuStream, const Tensor& y, const Tensor& mask,
                                        const Tensor& deviation, const Tensor& index,
                                        const Tensor& count, const Tensor& dy, Tensor& dx) {
  const int64_t B = y.dim(0), N = y.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t *pi = index.data<int32_t>(), *pc = count.data<int32_t>();
  visit_loss(y.dtype(), [&]<class T>(Tag<T>) {
    const T *py = y.data<T>(), *ps = deviation.data<T>(), *pdy = dy.data<T>();
    T* pdx = dx.data<T>();
    const auto sign = [](T value) { return double((value > 0) - (value < 0)); };
    const auto sums = cpu::image_sums<3>(B, N, [=](int64_t b, int64_t i) {
      const int64_t at = b * N + i;
      if (!pm[at]) return std::array<double, 3>{};
      const double rho = double(pdy[at]), value = double(py[at]);
      return std::array<double, 3>{rho, rho * value, sign(py[at])};
    });
    cpu::for_each_piece(B, N, [&](int64_t b, int64_t begin, int64_t end) {
      const auto& [A, C, S] = sums[size_t(b)];
      const double slope = pc[b] > 0 ? C / pc[b] : 0, s = double(ps[b]);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = b * N + i;
        double d = double(pdy[at]) - slope * sign(py[at]);
        if (i == pi[b]) d -= A - slope * S;
        pdx[at] = pm[at] ? T(d / s) : T(0);
      }
    });
  });
}

}  // namespace fathom
