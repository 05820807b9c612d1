#include "kernels/cuda/least_squares.h"

#include "kernels/device/image_sums.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: two passes of 9 bytes a pixel for the fit, 9 for the map, 9 and 17 for its
// gradient.

struct Sums {
  const float *x, *target;
  const bool* mask;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[2]) const {
    const int64_t at = b * N + i;
    if (!mask[at]) return;
    sums[0] += double(x[at]);
    sums[1] += double(target[at]);
  }
};
struct StoreMeans {
  Fit fit;
  double* target_mean;
  __device__ void operator()(int64_t b, const double (&sums)[2]) const {
    const double n = double(fit.count[b]);
    fit.mean[b] = n > 0.0 ? sums[0] / n : 0.0;
    target_mean[b] = n > 0.0 ? sums[1] / n : 0.0;
  }
};

// Centred first, so that nothing cancels.
struct Moments {
  const float *x, *target;
  const bool* mask;
  const double *mean, *target_mean;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[2]) const {
    const int64_t at = b * N + i;
    if (!mask[at]) return;
    const double d = double(x[at]) - mean[b];
    sums[0] += d * d;
    sums[1] += d * (double(target[at]) - target_mean[b]);
  }
};
struct StoreFit {
  Fit fit;
  const double* target_mean;
  __device__ void operator()(int64_t b, const double (&sums)[2]) const {
    const double rounding = 0x1p-51 * fit.mean[b];  // two ulps
    const bool constant = sums[0] <= double(fit.count[b]) * rounding * rounding;
    fit.squares[b] = sums[0];
    fit.scale[b] = constant ? 0.0 : sums[1] / sums[0];
    fit.shift[b] = constant ? 0.0 : target_mean[b] - fit.scale[b] * fit.mean[b];
  }
};

struct Align {
  const float* x;
  const bool* mask;
  Fit fit;
  float* y;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    y[at] = mask[at] ? static_cast<float>(fit.scale[b] * double(x[at]) + fit.shift[b]) : 0.0f;
  }
};

// A = sum rho and P = sum rho (x - mean x), kernels/least_squares.h.
struct GradientSums {
  const float* x;
  const bool* mask;
  Fit fit;
  const float* dy;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[2]) const {
    const int64_t at = b * N + i;
    if (!mask[at]) return;
    const double rho = double(dy[at]);
    sums[0] += rho;
    sums[1] += rho * (double(x[at]) - fit.mean[b]);
  }
};
struct StoreSums {
  double* stored;  // [B, 2]
  __device__ void operator()(int64_t b, const double (&sums)[2]) const {
    stored[2 * b] = sums[0];
    stored[2 * b + 1] = sums[1];
  }
};
struct AlignBackward {
  const float *x, *target;
  const bool* mask;
  Fit fit;
  const float* dy;
  const double* sums;
  float* dx;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    const double s = fit.scale[b];
    if (!mask[at] || (s == 0.0 && fit.shift[b] == 0.0)) {
      dx[at] = 0.0f;
      return;
    }
    const double target_mean = fit.shift[b] + s * fit.mean[b];
    const double mean_rho = sums[2 * b] / double(fit.count[b]);
    const double slope = sums[2 * b + 1] / fit.squares[b];
    const double toward =
        double(target[at]) - target_mean - 2.0 * s * (double(x[at]) - fit.mean[b]);
    dx[at] = static_cast<float>(s * (double(dy[at]) - mean_rho) + slope * toward);
  }
};

}  // namespace

int64_t least_squares_workspace(int64_t B, int64_t N) { return image_workspace(B, N, 2) + 2 * B; }

void least_squares(CUstream_st* stream, const float* x, const float* target, const bool* mask,
                   const Fit& fit, double* workspace, int64_t B, int64_t N) {
  double* const target_mean = workspace + image_workspace(B, N, 2);
  image_sums<2>(stream, Sums{x, target, mask, N}, StoreMeans{fit, target_mean}, workspace, B, N);
  image_sums<2>(stream, Moments{x, target, mask, fit.mean, target_mean, N},
                StoreFit{fit, target_mean}, workspace, B, N);
}

void align_least_squares_forward(CUstream_st* stream, const float* x, const bool* mask,
                                 const Fit& fit, float* y, int64_t B, int64_t N) {
  image_elements(stream, Align{x, mask, fit, y, N}, B, N);
}

void align_least_squares_backward(CUstream_st* stream, const float* x, const float* target,
                                  const bool* mask, const Fit& fit, const float* dy, float* dx,
                                  double* workspace, int64_t B, int64_t N) {
  double* const sums = workspace + image_workspace(B, N, 2);
  image_sums<2>(stream, GradientSums{x, mask, fit, dy, N}, StoreSums{sums}, workspace, B, N);
  image_elements(stream, AlignBackward{x, target, mask, fit, dy, sums, dx, N}, B, N);
}

}  // namespace fathom::cuda
