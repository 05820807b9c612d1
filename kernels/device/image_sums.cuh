// Sums over the elements of each image of a batch, in double and always in the same order: pieces
// of fixed size first, then the pieces of an image.
#pragma once

#include "kernels/device/block.cuh"

namespace fathom::cuda {

constexpr int kImageThreads = 256;
constexpr int64_t kImagePiece = 1 << 13;

inline int64_t pieces_of(int64_t N) { return gpu::ceil_div(N, kImagePiece); }

/// Doubles of workspace for image_sums of K numbers.
inline int64_t image_workspace(int64_t B, int64_t N, int K) { return B * pieces_of(N) * K; }

template <int K, class F>
__global__ void __launch_bounds__(kImageThreads)
    image_pieces_kernel(F add, double* __restrict__ partial, int64_t N) {
  const int64_t b = blockIdx.y, begin = blockIdx.x * kImagePiece;
  const int64_t end = min(begin + kImagePiece, N);
  double sums[K] = {};
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kImageThreads) add(b, i, sums);
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const double sum = block_sum<kImageThreads>(sums[k]);
    if (threadIdx.x == 0) partial[(b * gridDim.x + blockIdx.x) * K + k] = sum;
  }
}

template <int K, class G>
__global__ void __launch_bounds__(kImageThreads)
    image_finish_kernel(G finish, const double* __restrict__ partial, int64_t pieces) {
  const int64_t b = blockIdx.x;
  double sums[K] = {};
  for (int64_t p = threadIdx.x; p < pieces; p += kImageThreads)
#pragma unroll
    for (int k = 0; k < K; ++k) sums[k] += partial[(b * pieces + p) * K + k];
#pragma unroll
  for (int k = 0; k < K; ++k) sums[k] = block_sum<kImageThreads>(sums[k]);
  if (threadIdx.x == 0) finish(b, sums);
}

/// add(b, i, sums) adds the K terms of element i of image b; finish(b, sums) is called once an
/// image, by one thread.
template <int K, class F, class G>
void image_sums(CUstream_st* stream, F add, G finish, double* workspace, int64_t B, int64_t N) {
  const dim3 grid(static_cast<unsigned>(pieces_of(N)), static_cast<unsigned>(B));
  gpu::launch(image_pieces_kernel<K, F>, grid, kImageThreads, 0, stream, add, workspace, N);
  gpu::launch(image_finish_kernel<K, G>, static_cast<unsigned>(B), kImageThreads, 0, stream, finish,
              workspace, pieces_of(N));
}

template <class F>
__global__ void __launch_bounds__(kImageThreads) image_elements_kernel(F act, int64_t N) {
  const int64_t b = blockIdx.y, begin = blockIdx.x * kImagePiece;
  const int64_t end = min(begin + kImagePiece, N);
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kImageThreads) act(b, i);
}

/// act(b, i) for every element i of every image b.
template <class F>
void image_elements(CUstream_st* stream, F act, int64_t B, int64_t N) {
  const dim3 grid(static_cast<unsigned>(pieces_of(N)), static_cast<unsigned>(B));
  gpu::launch(image_elements_kernel<F>, grid, kImageThreads, 0, stream, act, N);
}

/// -1, 0 or 1; 0 for a NaN.
__device__ inline float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f; }

}  // namespace fathom::cuda
