#include "kernels/least_squares.h"

#include <limits>

#include "core/autograd.h"
#include "kernels/cpu/image_sums.h"
#include "kernels/masks.h"

namespace fathom {

LeastSquares least_squares(const Tensor& x_in, const Tensor& target_in, const Tensor& mask_in) {
  check_masked("least_squares", x_in, mask_in);
  check_masked("least_squares", target_in, mask_in);
  check_same_type("least_squares", x_in, target_in);
  const Tensor x = x_in.detach().contiguous(), target = target_in.detach().contiguous();
  const Tensor mask = mask_in.contiguous();
  const Shape images{x.dim(0)};
  const TensorOptions f64{DType::f64, x.device()};
  LeastSquares fit{.scale = empty(images, f64),
                   .shift = empty(images, f64),
                   .mean = empty(images, f64),
                   .squares = empty(images, f64),
                   .count = mask_count(mask)};
  visit_stream(x.device(),
               [&](auto stream) { kernels::least_squares(stream, x, target, mask, fit); });
  return fit;
}

Tensor align_least_squares(const Tensor& x_in, const Tensor& target_in, const Tensor& mask_in) {
  const LeastSquares fit = least_squares(x_in, target_in, mask_in);
  const Tensor x = x_in.contiguous(), target = target_in.detach().contiguous();
  const Tensor mask = mask_in.contiguous();
  Tensor y = empty_like(x);
  visit_stream(x.device(),
               [&](auto stream) { kernels::align_least_squares_forward(stream, x, mask, fit, y); });
  return record(y, {x_in}, [x, target, mask, fit](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(x);
    visit_stream(x.device(), [&](auto stream) {
      kernels::align_least_squares_backward(stream, x, target, mask, fit, dy, dx);
    });
    return {dx};
  });
}

// ---- CPU

void kernels::least_squares(CpuStream, const Tensor& x, const Tensor& target, const Tensor& mask,
                            LeastSquares& fit) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = fit.count.data<int32_t>();
  double *scale = fit.scale.data<double>(), *shift = fit.shift.data<double>();
  double *mean = fit.mean.data<double>(), *squares = fit.squares.data<double>();
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T *px = x.data<T>(), *pt = target.data<T>();
    std::vector<double> target_mean(static_cast<size_t>(B));
    const auto sums = cpu::image_sums<2>(B, N, [=](int64_t b, int64_t i) {
      const int64_t at = b * N + i;
      if (!pm[at]) return std::array<double, 2>{};
      return std::array<double, 2>{double(px[at]), double(pt[at])};
    });
    for (int64_t b = 0; b < B; ++b) {
      mean[b] = pc[b] > 0 ? sums[size_t(b)][0] / pc[b] : 0;
      target_mean[size_t(b)] = pc[b] > 0 ? sums[size_t(b)][1] / pc[b] : 0;
    }
    const auto moments = cpu::image_sums<2>(B, N, [&](int64_t b, int64_t i) {
      const int64_t at = b * N + i;
      if (!pm[at]) return std::array<double, 2>{};
      const double dx = double(px[at]) - mean[b];
      return std::array<double, 2>{dx * dx, dx * (double(pt[at]) - target_mean[size_t(b)])};
    });
    for (int64_t b = 0; b < B; ++b) {
      squares[b] = moments[size_t(b)][0];
      const double rounding = 2 * std::numeric_limits<double>::epsilon() * mean[b];
      const bool constant = squares[b] <= pc[b] * rounding * rounding;
      scale[b] = constant ? 0 : moments[size_t(b)][1] / squares[b];
      shift[b] = constant ? 0 : target_mean[size_t(b)] - scale[b] * mean[b];
    }
  });
}

void kernels::align_least_squares_forward(CpuStream, const Tensor& x, const Tensor& mask,
                                          const LeastSquares& fit, Tensor& y) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  const bool* pm = mask.data<bool>();
  const double *scale = fit.scale.data<double>(), *shift = fit.shift.data<double>();
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T* px = x.data<T>();
    T* py = y.data<T>();
    cpu::for_each_piece(B, N, [=](int64_t b, int64_t begin, int64_t end) {
      for (int64_t i = b * N + begin; i < b * N + end; ++i)
        py[i] = pm[i] ? T(scale[b] * double(px[i]) + shift[b]) : T(0);
    });
  });
}

void kernels::align_least_squares_backward(CpuStream, const Tensor& x, const Tensor& target,
                                           const Tensor& mask, const LeastSquares& fit,
                                           const Tensor& dy, Tensor& dx) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = fit.count.data<int32_t>();
  const double *scale = fit.scale.data<double>(), *shift = fit.shift.data<double>();
  const double *mean = fit.mean.data<double>(), *squares = fit.squares.data<double>();
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T *px = x.data<T>(), *pt = target.data<T>(), *pdy = dy.data<T>();
    T* pdx = dx.data<T>();
    const auto sums = cpu::image_sums<2>(B, N, [=](int64_t b, int64_t i) {
      const int64_t at = b * N + i;
      if (!pm[at]) return std::array<double, 2>{};
      const double rho = double(pdy[at]);
      return std::array<double, 2>{rho, rho * (double(px[at]) - mean[b])};
    });
    cpu::for_each_piece(B, N, [&](int64_t b, int64_t begin, int64_t end) {
      const bool constant = scale[b] == 0 && shift[b] == 0;
      const double s = scale[b], target_mean = shift[b] + s * mean[b];
      const double A = constant ? 0 : sums[size_t(b)][0] / pc[b];
      const double slope = constant ? 0 : sums[size_t(b)][1] / squares[b];
      for (int64_t i = b * N + begin; i < b * N + end; ++i) {
        const double toward = double(pt[i]) - target_mean - 2 * s * (double(px[i]) - mean[b]);
        pdx[i] = pm[i] && !constant ? T(s * (double(pdy[i]) - A) + slope * toward) : T(0);
      }
    });
  });
}

}  // namespace fathom
