#include "kernels/silog.h"

#include <cmath>

#include "core/autograd.h"
#include "kernels/cpu/image_sums.h"
#include "kernels/masks.h"

namespace fathom {

Tensor silog(const Tensor& prediction_in, const Tensor& target_in, const Tensor& mask_in,
             const SilogOptions& options) {
  check_masked("silog", prediction_in, mask_in);
  check_masked("silog", target_in, mask_in);
  check_same_type("silog", prediction_in, target_in);
  const Tensor p = prediction_in.contiguous(), target = target_in.detach().contiguous();
  const Tensor mask = mask_in.contiguous(), count = mask_count(mask);
  Tensor mean = empty({p.dim(0)}, {DType::f64, p.device()}), loss = empty({p.dim(0)}, p.options());
  visit_stream(p.device(), [&](auto stream) {
    kernels::silog_forward(stream, p, target, mask, count, options, mean, loss);
  });
  return record(
      loss, {prediction_in},
      [p, target, mask, count, options, mean, loss = loss.detach()](const Tensor& dloss) -> Grads {
        Tensor dp = empty_like(p);
        visit_stream(p.device(), [&](auto stream) {
          kernels::silog_backward(stream, p, target, mask, count, options, mean, loss, dloss, dp);
        });
        return {dp};
      });
}

// ---- CPU

static bool has_enough(int32_t count, const SilogOptions& options) {
  return count > 0 && count >= options.least_count;
}

static double variance_divisor(int32_t count, const SilogOptions& options) {
  return options.unbiased ? std::max(count - 1, 1) : count;
}

void kernels::silog_forward(CpuStream, const Tensor& prediction, const Tensor& target,
                            const Tensor& mask, const Tensor& count, const SilogOptions& options,
                            Tensor& mean, Tensor& loss) {
  const int64_t B = prediction.dim(0), N = prediction.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = count.data<int32_t>();
  double* mu = mean.data<double>();
  visit_loss(prediction.dtype(), [&]<class T>(Tag<T>) {
    const T *pp = prediction.data<T>(), *pt = target.data<T>();
    const auto log_ratio = [=, eps = options.eps](int64_t at) {
      return std::log(double(pp[at]) + eps) - std::log(double(pt[at]) + eps);
    };
    const auto sums = cpu::image_sums<1>(B, N, [=](int64_t b, int64_t i) {
      return std::array<double, 1>{pm[b * N + i] ? log_ratio(b * N + i) : 0.0};
    });
    for (int64_t b = 0; b < B; ++b) mu[b] = pc[b] > 0 ? sums[size_t(b)][0] / pc[b] : 0;
    const auto squares = cpu::image_sums<1>(B, N, [=](int64_t b, int64_t i) {
      const double g = pm[b * N + i] ? log_ratio(b * N + i) - mu[b] : 0.0;
      return std::array<double, 1>{g * g};
    });
    T* pl = loss.data<T>();
    for (int64_t b = 0; b < B; ++b) {
      const double variance = squares[size_t(b)][0] / variance_divisor(pc[b], options);
      pl[b] = has_enough(pc[b], options)
                  ? T(options.factor * std::sqrt(variance + options.weight * mu[b] * mu[b]))
                  : T(0);
    }
  });
}

void kernels::silog_backward(CpuStream, const Tensor& prediction, const Tensor& target,
                             const Tensor& mask, const Tensor& count, const SilogOptions& options,
                             const Tensor& mean, const Tensor& loss, const Tensor& dloss,
                             Tensor& dprediction) {
  const int64_t B = prediction.dim(0), N = prediction.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = count.data<int32_t>();
  const double* mu = mean.data<double>();
  visit_loss(prediction.dtype(), [&]<class T>(Tag<T>) {
    const T *pp = prediction.data<T>(), *pt = target.data<T>();
    const T *pl = loss.data<T>(), *pdl = dloss.data<T>();
    T* pdp = dprediction.data<T>();
    cpu::for_each_piece(B, N, [=](int64_t b, int64_t begin, int64_t end) {
      // L = f sqrt(q), so dL = f^2 dq / (2 L), and dq/dg_i = 2 (g_i - mean) / divisor
      // + 2 weight mean / n.
      const bool flat = !has_enough(pc[b], options) || pl[b] == 0;
      const double outer =
          flat ? 0 : double(pdl[b]) * options.factor * options.factor / double(pl[b]);
      const double divisor = variance_divisor(pc[b], options);
      const double level = pc[b] > 0 ? options.weight * mu[b] / pc[b] : 0;
      for (int64_t i = b * N + begin; i < b * N + end; ++i) {
        if (flat || !pm[i]) {
          pdp[i] = T(0);
          continue;
        }
        const double p = double(pp[i]) + options.eps;
        const double g = std::log(p) - std::log(double(pt[i]) + options.eps);
        pdp[i] = T(outer * ((g - mu[b]) / divisor + level) / p);
      }
    });
  });
}

}  // namespace fathom
