#include "kernels/cuda/masked.h"
#include "kernels/device/image_sums.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 5 bytes an element, neighbours from the caches, and a third more for the levels
// above; 9 in the backward pass. Nobody adds to another's element: a pixel gathers.

// The differences of one level, to the right and below, and its valid pixels.
struct Differences {
  const float* r;
  const bool* mask;
  int64_t H, W, step, columns;  // columns of the level
  __device__ void operator()(int64_t b, int64_t i, double (&sums)[2]) const {
    const int64_t y = i / columns * step, x = i % columns * step, at = (b * H + y) * W + x;
    if (!mask[at]) return;
    const double here = double(r[at]);
    sums[1] += 1.0;
    if (x + step < W && mask[at + step]) sums[0] += fabs(double(r[at + step]) - here);
    const int64_t below = at + step * W;
    if (y + step < H && mask[below]) sums[0] += fabs(double(r[below]) - here);
  }
};

struct StoreLevel {
  double* levels;  // [B, levels, 2]
  int level, count;
  __device__ void operator()(int64_t b, const double (&sums)[2]) const {
    levels[(b * count + level) * 2] = sums[0];
    levels[(b * count + level) * 2 + 1] = sums[1];
  }
};

struct Total {
  const double* levels;
  Divisor divisor;
  double* divisors;
  float* loss;
  int count;
  __device__ void operator()(int64_t, int64_t b) const {
    double total = 0.0;
    for (int k = 0; k < count; ++k) {
      const int64_t from = divisor == Divisor::kLevel ? k : 0;
      const double n = levels[(b * count + from) * 2 + 1];
      const double inverse = n > 0.0 ? 1.0 / n : 0.0;
      divisors[b * count + k] = inverse;
      total += levels[(b * count + k) * 2] * inverse;
    }
    loss[b] = static_cast<float>(total);
  }
};

struct Gather {
  const float* r;
  const bool* mask;
  const double* divisors;
  const float* dloss;
  float* dr;
  int64_t H, W;
  int levels;
  __device__ int against(int64_t at, int64_t other) const {  // the sign of r - neighbour
    if (!mask[other]) return 0;
    return (r[at] > r[other]) - (r[at] < r[other]);
  }
  __device__ void operator()(int64_t b, int64_t i) const {
    const int64_t y = i / W, x = i % W, at = b * H * W + i;
    double slope = 0.0;
    for (int k = 0; mask[at] && k < levels; ++k) {
      const int64_t s = int64_t(1) << k;
      if (((x | y) & (s - 1)) != 0) break;
      int signs = 0;
      if (x + s < W) signs += against(at, at + s);
      if (x >= s) signs += against(at, at - s);
      if (y + s < H) signs += against(at, at + s * W);
      if (y >= s) signs += against(at, at - s * W);
      slope += double(signs) * divisors[b * levels + k];
    }
    dr[at] = static_cast<float>(slope * double(dloss[b]));
  }
};

}  // namespace

int64_t gradient_matching_workspace(int64_t B, int64_t H, int64_t W, int levels) {
  return image_workspace(B, H * W, 2) + B * levels * 2;
}

void gradient_matching_forward(CUstream_st* stream, const float* r, const bool* mask,
                               Divisor divisor, double* divisors, float* loss, double* workspace,
                               int64_t B, int64_t H, int64_t W, int levels) {
  double* const sums = workspace + image_workspace(B, H * W, 2);
  for (int k = 0; k < levels; ++k) {
    const int64_t step = int64_t(1) << k, rows = gpu::ceil_div(H, step),
                  columns = gpu::ceil_div(W, step);
    image_sums<2>(stream, Differences{r, mask, H, W, step, columns}, StoreLevel{sums, k, levels},
                  workspace, B, rows * columns);
  }
  image_elements(stream, Total{sums, divisor, divisors, loss, levels}, 1, B);
}

void gradient_matching_backward(CUstream_st* stream, const float* r, const bool* mask,
                                const double* divisors, const float* dloss, float* dr, int64_t B,
                                int64_t H, int64_t W, int levels) {
  image_elements(stream, Gather{r, mask, divisors, dloss, dr, H, W, levels}, B, H * W);
}

}  // namespace fathom::cuda
