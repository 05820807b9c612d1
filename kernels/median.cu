#include "kernels/cuda/median.h"
#include "core/gpu.h"
#include "kernels/device/select.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 4 passes over 5 bytes an element, all but the first from L2. One block a row.
__global__ void __launch_bounds__(kSelectThreads)
    median_kernel(const float* __restrict__ x, const bool* __restrict__ mask, Hidden hidden,
                  float* __restrict__ value, int32_t* __restrict__ index,
                  int32_t* __restrict__ count, int N) {
  GPU_SHARED(found, int);
  const int64_t row = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x);
  x += row * N;
  if (mask != nullptr) mask += row * N;
  if (thread == 0) found = N;

  const auto key_of = [=](int i, unsigned& key) {
    const bool valid = mask == nullptr || mask[i];
    key = to_key(valid ? x[i] : 0.0f);
    return valid || hidden == Hidden::kAsZero;
  };
  const Selected median = select(N, key_of, [](unsigned total) { return (total - 1) / 2; });
  if (thread == 0) count[row] = static_cast<int32_t>(median.total);
  if (median.total == 0) {
    if (thread == 0) value[row] = 0.0f, index[row] = -1;
    return;
  }
  for (int i = thread; i < N; i += kSelectThreads) {
    unsigned key = 0;
    if (key_of(i, key) && key == median.key) atomicMin(&found, i);
  }
  __syncthreads();
  if (thread == 0)
    index[row] = found, value[row] = mask == nullptr || mask[found] ? x[found] : 0.0f;
}

}  // namespace

void median_forward(CUstream_st* stream, const float* x, const bool* mask, Hidden hidden,
                    float* value, int32_t* index, int32_t* count, int64_t rows, int64_t N) {
  gpu::launch(median_kernel, static_cast<unsigned>(rows), kSelectThreads, 0, stream, x, mask,
              hidden, value, index, count, static_cast<int>(N));
}

}  // namespace fathom::cuda
