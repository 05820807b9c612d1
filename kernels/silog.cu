#include "kernels/cuda/silog.h"

#include "kernels/device/image_sums.cuh"

namespace fathom::cuda {
namespace {

// Two passes of 9 bytes a pixel forward, 13 backward; bound by a double logarithm a pixel where
// doubles are slow.

__device__ bool has_enough(int32_t count, const Silog& options) {
  return count > 0 && count >= options.least_count;
}

__device__ double variance_divisor(int32_t count, const Silog& options) {
  return double(options.unbiased ? max(count - 1, 1) : count);
}

// g = ln(p + eps) - ln(t + eps), as one logarithm: targets are positive.
struct Ratio {
  const float *prediction, *target;
  double eps;
  __device__ double operator()(int64_t at) const {
    return log((double(prediction[at]) + eps) / (double(target[at]) + eps));
  }
};

struct Logarithms {
  Ratio ratio;
  const bool* mask;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[1]) const {
    if (mask[b * N + i]) sums[0] += ratio(b * N + i);
  }
};
struct StoreMean {
  const int32_t* count;
  double* mean;
  __device__ void operator()(int64_t b, const double (&sums)[1]) const {
    mean[b] = count[b] > 0 ? sums[0] / double(count[b]) : 0.0;
  }
};

struct Squares {
  Ratio ratio;
  const bool* mask;
  const double* mean;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[1]) const {
    if (!mask[b * N + i]) return;
    const double centred = ratio(b * N + i) - mean[b];
    sums[0] += centred * centred;
  }
};
struct StoreLoss {
  Silog options;
  const int32_t* count;
  const double* mean;
  float* loss;
  __device__ void operator()(int64_t b, const double (&sums)[1]) const {
    const double variance = sums[0] / variance_divisor(count[b], options);
    loss[b] = has_enough(count[b], options)
                  ? static_cast<float>(options.factor *
                                       sqrt(variance + options.weight * mean[b] * mean[b]))
                  : 0.0f;
  }
};

// L = f sqrt(q), so dL = f^2 dq / (2 L), and dq/dg_i = 2 (g_i - mean) / divisor + 2 weight mean /
// n.
struct Backward {
  Silog options;
  const float *prediction, *target;
  const bool* mask;
  const int32_t* count;
  const double* mean;
  const float *loss, *dloss;
  float* dprediction;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    if (!mask[at] || !has_enough(count[b], options) || loss[b] == 0.0f) {
      dprediction[at] = 0.0f;
      return;
    }
    const double outer = double(dloss[b]) * options.factor * options.factor / double(loss[b]);
    const double level = options.weight * mean[b] / double(count[b]);
    const double p = double(prediction[at]) + options.eps;
    const double g = log(p / (double(target[at]) + options.eps));
    dprediction[at] = static_cast<float>(
        outer * ((g - mean[b]) / variance_divisor(count[b], options) + level) / p);
  }
};

}  // namespace

int64_t silog_workspace(int64_t B, int64_t N) { return image_workspace(B, N, 1); }

void silog_forward(CUstream_st* stream, const float* prediction, const float* target,
                   const bool* mask, const int32_t* count, const Silog& options, double* mean,
                   float* loss, double* workspace, int64_t B, int64_t N) {
  const Ratio ratio{prediction, target, options.eps};
  image_sums<1>(stream, Logarithms{ratio, mask, N}, StoreMean{count, mean}, workspace, B, N);
  image_sums<1>(stream, Squares{ratio, mask, mean, N}, StoreLoss{options, count, mean, loss},
                workspace, B, N);
}

void silog_backward(CUstream_st* stream, const float* prediction, const float* target,
                    const bool* mask, const int32_t* count, const Silog& options,
                    const double* mean, const float* loss, const float* dloss, float* dprediction,
                    int64_t B, int64_t N) {
  image_elements(
      stream, Backward{options, prediction, target, mask, count, mean, loss, dloss, dprediction, N},
      B, N);
}

}  // namespace fathom::cuda
