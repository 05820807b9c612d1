#include "kernels/random.h"

#include <cuda_runtime.h>

#include "core/cuda.h"
#include "core/error.h"
#include "core/philox.h"

namespace fathom::kernels {

// Memory bound: 4 bytes written an element. A thread draws one Philox block, four elements, so that
// neighbours write neighbouring 16 bytes.
constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;  // beyond, threads take further steps

struct UniformFour {
  float low, high;
  __device__ void operator()(const Philox4& block, float* values) const {
    for (int i = 0; i < 4; ++i) values[i] = uniform_between(block.word[i], low, high);
  }
};

struct NormalFour {
  float mean, deviation;
  __device__ void operator()(const Philox4& block, float* values) const {
    normals_from(block.word[0], block.word[1], values, values + 1);
    normals_from(block.word[2], block.word[3], values + 2, values + 3);
    for (int i = 0; i < 4; ++i) values[i] = fmaf(values[i], deviation, mean);
  }
};

template <class Four>
static __global__ void fill_kernel(Generator start, Four four, float* __restrict__ data,
                                   int64_t n) {
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t block = int64_t(blockIdx.x) * kThreads + threadIdx.x; 4 * block < n; block += step) {
    float values[4];
    four(philox(start.seed, start.position + uint64_t(block)), values);
    for (int i = 0; i < 4 && 4 * block + i < n; ++i) data[4 * block + i] = values[i];
  }
}

template <class Four>
static void fill(void* stream, const Generator& start, Four four, float* data, int64_t n) {
  const int64_t blocks = ceil_div(ceil_div(n, 4), kThreads);
  const dim3 grid(unsigned(blocks < kMostBlocks ? blocks : kMostBlocks));
  fill_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(start, four, data, n);
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return;
  const std::string absent = cuda_unavailable_reason();
  fail("random: cannot fill on the GPU: ", absent.empty() ? cudaGetErrorString(error) : absent);
}

void fill_uniform_cuda(void* stream, const Generator& generator, float low, float high, float* data,
                       int64_t n) {
  fill(stream, generator, UniformFour{low, high}, data, n);
}

void fill_normal_cuda(void* stream, const Generator& generator, float mean, float deviation,
                      float* data, int64_t n) {
  fill(stream, generator, NormalFour{mean, deviation}, data, n);
}

}  // namespace fathom::kernels
