#include "kernels/cuda/masked.h"

#include "kernels/device/image_sums.cuh"

namespace fathom::cuda {
namespace {

// All memory bound: 1 byte of mask and 4 of each map an element and pass; a map of a batch is small
// enough (17 MB for 16 images of 518 x 518) that the later passes find it in L2.

struct Pair {
  MaskPair pair;
  const bool *a, *b;
  bool* y;
  __device__ void operator()(int64_t, int64_t i) const {
    y[i] = a[i] && (pair == MaskPair::kAnd ? b[i] : !b[i]);
  }
};

struct Keep {
  const bool* mask;
  const float* keep;
  bool* y;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    y[b * N + i] = keep[b] != 0.0f && mask[b * N + i];
  }
};

struct Count {
  const bool* mask;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[1]) const {
    if (mask[b * N + i]) sums[0] += 1.0;
  }
};
struct StoreCount {
  int32_t* count;
  float* fraction;
  int64_t N;
  __device__ void operator()(int64_t b, const double (&sums)[1]) const {
    if (count != nullptr) count[b] = static_cast<int32_t>(sums[0]);
    if (fraction != nullptr) fraction[b] = static_cast<float>(sums[0] / double(N));
  }
};

struct Distance {
  const float* x;
  const bool* mask;
  const float* median;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[2]) const {
    if (!mask[b * N + i]) return;
    sums[0] += fabs(double(x[b * N + i]) - double(median[b]));
    sums[1] += 1.0;
  }
};
struct StoreDeviation {
  float *median, *deviation;
  int32_t *index, *count;
  __device__ void operator()(int64_t b, const double (&sums)[2]) const {
    count[b] = static_cast<int32_t>(sums[1]);
    deviation[b] = sums[1] == 0.0 ? 0.0f : static_cast<float>(sums[0] / sums[1]);
    if (sums[1] == 0.0) median[b] = 0.0f, index[b] = -1;  // all hidden, and counted as zeros
  }
};

struct Usable {
  const float* deviation;
  const int32_t* count;
  int64_t least_count;
  double least_scale;
  float* usable;
  __device__ void operator()(int64_t, int64_t b) const {
    if (count[b] == 0 || count[b] < least_count || double(deviation[b]) < least_scale)
      usable[b] = 0.0f;
  }
};

struct Normalize {
  const float* x;
  const bool* mask;
  const float *median, *deviation;
  float* y;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    y[at] = mask[at] ? (x[at] - median[b]) / deviation[b] : 0.0f;
  }
};

// A = sum rho, C = sum rho y, S = sum sign(y), kernels/normalize_affine.h.
struct NormalizeSums {
  const float* y;
  const bool* mask;
  const float* dy;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[3]) const {
    const int64_t at = b * N + i;
    if (!mask[at]) return;
    const double rho = double(dy[at]);
    sums[0] += rho;
    sums[1] += rho * double(y[at]);
    sums[2] += double(sign(y[at]));
  }
};
// What the elements need: C / n, and A - (C / n) S for the median's.
struct StoreSlopes {
  const int32_t* count;
  double* slopes;  // [B, 2]
  __device__ void operator()(int64_t b, const double (&sums)[3]) const {
    const double slope = count[b] > 0 ? sums[1] / double(count[b]) : 0.0;
    slopes[2 * b] = slope;
    slopes[2 * b + 1] = sums[0] - slope * sums[2];
  }
};
struct NormalizeBackward {
  const float* y;
  const bool* mask;
  const float* deviation;
  const int32_t* index;
  const float* dy;
  const double* slopes;
  float* dx;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    if (!mask[at]) {
      dx[at] = 0.0f;
      return;
    }
    double d = double(dy[at]) - slopes[2 * b] * double(sign(y[at]));
    if (i == index[b]) d -= slopes[2 * b + 1];
    dx[at] = static_cast<float>(d / double(deviation[b]));
  }
};

struct ErrorSum {
  const float* r;
  const bool* mask;
  ErrorNorm error;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[1]) const {
    if (!mask[b * N + i]) return;
    const double value = double(r[b * N + i]);
    sums[0] += error == ErrorNorm::kAbsolute ? fabs(value) : value * value;
  }
};
struct StoreError {
  const int32_t* count;
  float* loss;
  __device__ void operator()(int64_t b, const double (&sums)[1]) const {
    loss[b] = count[b] > 0 ? static_cast<float>(sums[0] / double(count[b])) : 0.0f;
  }
};
struct ErrorBackward {
  const float* r;
  const bool* mask;
  const int32_t* count;
  ErrorNorm error;
  const float* dloss;
  float* dr;
  int64_t N;
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t at = b * N + i;
    if (!mask[at] || count[b] == 0) {
      dr[at] = 0.0f;
      return;
    }
    const double slope = error == ErrorNorm::kAbsolute ? double(sign(r[at])) : 2.0 * double(r[at]);
    dr[at] = static_cast<float>(double(dloss[b]) / double(count[b]) * slope);
  }
};

// ---- means over the batch: one thread, in the order of the images

__global__ void weighted_mean_kernel(const float* x, const float* weights, float* y, int64_t B) {
  double sum = 0.0, weight = 0.0;
  for (int64_t b = 0; b < B; ++b) {
    if (weights[b] != 0.0f) sum += double(weights[b]) * double(x[b]);
    weight += double(weights[b]);
  }
  if (threadIdx.x == 0) y[0] = weight > 0.0 ? static_cast<float>(sum / weight) : 0.0f;
}

__global__ void weighted_mean_backward_kernel(const float* weights, const float* dy, float* dx,
                                              int64_t B) {
  double weight = 0.0;
  for (int64_t b = 0; b < B; ++b) weight += double(weights[b]);
  for (int64_t b = threadIdx.x; b < B; b += 32)
    dx[b] = weight > 0.0 ? static_cast<float>(double(dy[0]) * double(weights[b]) / weight) : 0.0f;
}

}  // namespace

int64_t masked_workspace(int64_t B, int64_t N) { return image_workspace(B, N, 3) + 2 * B; }

void mask_pair(CUstream_st* stream, MaskPair pair, const bool* a, const bool* b, bool* y,
               int64_t N) {
  image_elements(stream, Pair{pair, a, b, y}, 1, N);
}

void mask_images(CUstream_st* stream, const bool* mask, const float* keep, bool* y, int64_t B,
                 int64_t N) {
  image_elements(stream, Keep{mask, keep, y, N}, B, N);
}

void mask_count(CUstream_st* stream, const bool* mask, int32_t* count, float* fraction,
                double* workspace, int64_t B, int64_t N) {
  image_sums<1>(stream, Count{mask, N}, StoreCount{count, fraction, N}, workspace, B, N);
}

void masked_statistics(CUstream_st* stream, const float* x, const bool* mask, Hidden hidden,
                       float* median, float* deviation, int32_t* index, int32_t* count,
                       double* workspace, int64_t B, int64_t N) {
  median_forward(stream, x, mask, hidden, median, index, count, B, N);
  image_sums<2>(stream, Distance{x, mask, median, N},
                StoreDeviation{median, deviation, index, count}, workspace, B, N);
}

void usable_images(CUstream_st* stream, const float* deviation, const int32_t* count,
                   int64_t least_count, double least_scale, float* usable, int64_t B) {
  image_elements(stream, Usable{deviation, count, least_count, least_scale, usable}, 1, B);
}

void normalize_affine_forward(CUstream_st* stream, const float* x, const bool* mask,
                              const float* median, const float* deviation, float* y, int64_t B,
                              int64_t N) {
  image_elements(stream, Normalize{x, mask, median, deviation, y, N}, B, N);
}

void normalize_affine_backward(CUstream_st* stream, const float* y, const bool* mask,
                               const float* deviation, const int32_t* index, const int32_t* count,
                               const float* dy, float* dx, double* workspace, int64_t B,
                               int64_t N) {
  double* const slopes = workspace + image_workspace(B, N, 3);
  image_sums<3>(stream, NormalizeSums{y, mask, dy, N}, StoreSlopes{count, slopes}, workspace, B, N);
  image_elements(stream, NormalizeBackward{y, mask, deviation, index, dy, slopes, dx, N}, B, N);
}

void masked_error_forward(CUstream_st* stream, const float* r, const bool* mask,
                          const int32_t* count, ErrorNorm error, float* loss, double* workspace,
                          int64_t B, int64_t N) {
  image_sums<1>(stream, ErrorSum{r, mask, error, N}, StoreError{count, loss}, workspace, B, N);
}

void masked_error_backward(CUstream_st* stream, const float* r, const bool* mask,
                           const int32_t* count, ErrorNorm error, const float* dloss, float* dr,
                           int64_t B, int64_t N) {
  image_elements(stream, ErrorBackward{r, mask, count, error, dloss, dr, N}, B, N);
}

void weighted_mean_forward(CUstream_st* stream, const float* x, const float* weights, float* y,
                           int64_t B) {
  gpu::launch(weighted_mean_kernel, 1, 32, 0, stream, x, weights, y, B);
}

void weighted_mean_backward(CUstream_st* stream, const float* weights, const float* dy, float* dx,
                            int64_t B) {
  gpu::launch(weighted_mean_backward_kernel, 1, 32, 0, stream, weights, dy, dx, B);
}

}  // namespace fathom::cuda
