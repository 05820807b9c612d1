#include "kernels/cuda/masked.h"
#include "kernels/device/select.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 5 passes over 5 bytes an element, all but the first from L2. One block an image.

// |r| < v with the quantile v, interpolated in double between neighbours.
__global__ void __launch_bounds__(kSelectThreads)
    below_quantile_kernel(const float* __restrict__ r, const bool* __restrict__ mask, double trim,
                          bool* __restrict__ kept, int N) {
  GPU_SHARED(equal, unsigned);  // keys equal to the selected one
  GPU_SHARED(next, unsigned);   // the smallest key above it
  r += int64_t(blockIdx.x) * N, mask += int64_t(blockIdx.x) * N, kept += int64_t(blockIdx.x) * N;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) equal = 0, next = 0xffffffffu;

  const auto key_of = [=](int i, unsigned& key) {
    if (!mask[i]) return false;
    key = to_key(fabsf(r[i]));
    return true;
  };
  const auto position_of = [=](unsigned total) { return (1.0 - trim) * double(total - 1); };
  const Selected low = select(
      N, key_of, [=](unsigned total) { return static_cast<unsigned>(floor(position_of(total))); });
  double v = double(from_key(low.key));
  if (low.total > 0) {
    const double position = position_of(low.total), whole = floor(position);
    for (int i = thread; i < N; i += kSelectThreads) {
      unsigned key = 0;
      if (!key_of(i, key)) continue;
      if (key == low.key) atomicAdd(&equal, 1u);
      if (key > low.key) atomicMin(&next, key);
    }
    __syncthreads();
    // Only what has a weight may be read: the neighbour may be infinite.
    const unsigned above = low.rank + 1 < equal ? low.key : next;
    if (position > whole) v += (position - whole) * (double(from_key(above)) - v);
  }
  for (int i = thread; i < N; i += kSelectThreads) kept[i] = mask[i] && !(fabs(double(r[i])) >= v);
}

// The floor(n (1 - trim)) smallest; of equal ones those that come first. NaN is always kept.
__global__ void __launch_bounds__(kSelectThreads)
    smallest_kernel(const float* __restrict__ r, const bool* __restrict__ mask, double trim,
                    bool* __restrict__ kept, int N) {
  GPU_SHARED(ties_of_warp, unsigned[kSelectWarps]);
  r += int64_t(blockIdx.x) * N, mask += int64_t(blockIdx.x) * N, kept += int64_t(blockIdx.x) * N;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;

  const auto wanted_of = [=](unsigned total) {
    return static_cast<unsigned>(double(total) * (1.0 - trim));
  };
  const auto key_of = [=](int i, unsigned& key) {
    if (!mask[i]) return false;
    key = to_key(fabsf(r[i]));
    return true;
  };
  const Selected last =
      select(N, key_of, [=](unsigned total) { return max(wanted_of(total), 1u) - 1u; });
  const bool any = last.total > 0 && wanted_of(last.total) > 0;
  const unsigned ties = last.rank + 1;  // places for residuals of the last size

  unsigned before = 0;  // residuals of that size in the tiles before
  for (int tile = 0; tile < N; tile += kSelectThreads) {
    const int i = tile + thread;
    unsigned key = 0;
    const bool valid = i < N && key_of(i, key), tied = any && valid && key == last.key;
    const unsigned votes = __ballot_sync(gpu::kFullWarp, tied);
    if (lane == 0) ties_of_warp[warp] = static_cast<unsigned>(__popc(votes));
    __syncthreads();
    unsigned rank = before + static_cast<unsigned>(__popc(votes & ((1u << lane) - 1u)));
    for (int w = 0; w < kSelectWarps; ++w) {
      if (w < warp) rank += ties_of_warp[w];
      before += ties_of_warp[w];
    }
    if (i < N)
      kept[i] = any && valid && (key < last.key || (tied && rank < ties) || key == 0xffffffffu);
    __syncthreads();  // the counts are read
  }
}

}  // namespace

void trim_mask(CUstream_st* stream, const float* r, const bool* mask, Trim rule, double trim,
               bool* kept, int64_t B, int64_t N) {
  gpu::launch(rule == Trim::kBelowQuantile ? below_quantile_kernel : smallest_kernel,
              static_cast<unsigned>(B), kSelectThreads, 0, stream, r, mask, trim, kept,
              static_cast<int>(N));
}

}  // namespace fathom::cuda
