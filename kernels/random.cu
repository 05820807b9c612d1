#include "kernels/cuda/random.h"
#include "core/gpu.h"
#include "core/philox.h"

namespace fathom::cuda {
namespace {

// Memory bound: 4 bytes written an element. A thread draws one Philox block, four elements, so that
// neighbours write neighbouring 16 bytes.
constexpr int kThreads = 256;

struct Uniform {
  float low, high;
  __device__ void operator()(const Philox4& block, float* values) const {
    for (int i = 0; i < 4; ++i) values[i] = uniform_between(block.word[i], low, high);
  }
};

struct Normal {
  float mean, deviation;
  __device__ void operator()(const Philox4& block, float* values) const {
    normals_from(block.word[0], block.word[1], values, values + 1);
    normals_from(block.word[2], block.word[3], values + 2, values + 3);
    for (int i = 0; i < 4; ++i) values[i] = fmaf(values[i], deviation, mean);
  }
};

template <class Distribution>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(uint64_t seed, uint64_t position, Distribution distribution, float* __restrict__ x,
                int64_t N) {
  const int64_t block = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (4 * block >= N) return;
  float values[4];
  distribution(philox(seed, position + uint64_t(block)), values);
  for (int i = 0; i < 4 && 4 * block + i < N; ++i) x[4 * block + i] = values[i];
}

template <class Distribution>
void fill(CUstream_st* stream, uint64_t seed, uint64_t position, Distribution distribution,
          float* x, int64_t N) {
  const auto blocks = static_cast<unsigned>(gpu::ceil_div<int64_t>(N, 4 * kThreads));
  gpu::launch(fill_kernel<Distribution>, blocks, kThreads, 0, stream, seed, position, distribution,
              x, N);
}

}  // namespace

void fill_uniform(CUstream_st* stream, uint64_t seed, uint64_t position, float low, float high,
                  float* x, int64_t N) {
  fill(stream, seed, position, Uniform{low, high}, x, N);
}

void fill_normal(CUstream_st* stream, uint64_t seed, uint64_t position, float mean, float deviation,
                 float* x, int64_t N) {
  fill(stream, seed, position, Normal{mean, deviation}, x, N);
}

}  // namespace fathom::cuda
