#include "kernels/cuda/adamw.h"

#include <algorithm>

#include "kernels/device/block.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 28 bytes an element (p, m, v read and written, the gradient read), 2 more with a
// bf16 copy, 8 with an average. The tensors travel as a kernel argument, so that nothing is copied
// to the device and a captured step keeps them.
constexpr int kThreads = 256, kTensors = 32, kArrays = 128;
constexpr int64_t kPiece = 4096;  // elements of a block: 4 vectors a thread

struct AdamwTable {
  AdamwTensor tensors[kTensors];
  int first_piece[kTensors + 1];  // of each tensor; of none past the end
  int count;
};

// What a thread multiplies with.
struct Factors {
  float grad_scale, m_rate, v_keep, v_rate, keep, rate, root, eps, average_rate;
};

__device__ Factors factors(const AdamwConstants& f, const AdamwNumbers& n, const AdamwTensor& t) {
  const float lr = t.lr * float(n.lr_factor);
  return {float(n.grad_scale),  f.m_rate,           f.v_keep,      f.v_rate,
          1.0f - lr * t.decay,  lr / float(n.bias), float(n.root), f.eps,
          float(n.average_rate)};
}

__device__ void update(const Factors& f, float grad, float& weight, float& m, float& v) {
  const float g = f.grad_scale * grad;
  m += f.m_rate * (g - m);
  v = f.v_keep * v + f.v_rate * (g * g);
  weight = f.keep * weight - f.rate * (m / (sqrtf(v) / f.root + f.eps));
}

template <int kWide>
__device__ void update_vector(const Factors& f, const AdamwTensor& t, int64_t i) {
  float grad[kWide], weight[kWide], m[kWide], v[kWide], average[kWide] = {};
  load(grad, t.grad + i);
  load(weight, t.weight + i);
  load(m, t.m + i);
  load(v, t.v + i);
  if (t.average != nullptr) load(average, t.average + i);
#pragma unroll
  for (int k = 0; k < kWide; ++k) {
    update(f, grad[k], weight[k], m[k], v[k]);
    average[k] += f.average_rate * (weight[k] - average[k]);
  }
  store(t.weight + i, weight);
  store(t.m + i, m);
  store(t.v + i, v);
  if (t.average != nullptr) store(t.average + i, average);
  if (t.rounded == nullptr) return;
  __nv_bfloat16* const rounded = reinterpret_cast<__nv_bfloat16*>(t.rounded) + i;
  if constexpr (kWide == 4)
    *reinterpret_cast<uint2*>(rounded) = {gpu::pack2<__nv_bfloat16>(weight[0], weight[1]),
                                          gpu::pack2<__nv_bfloat16>(weight[2], weight[3])};
  else
    store(rounded, weight);
}

template <int kWide>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(const __grid_constant__ AdamwConstants constants,
                 const __grid_constant__ AdamwNumbers given,
                 const AdamwNumbers* __restrict__ on_device,
                 const __grid_constant__ AdamwTable table) {
  const AdamwNumbers numbers = on_device != nullptr ? *on_device : given;
  if (numbers.taken == 0.0) return;
  const int piece = static_cast<int>(blockIdx.x);
  int which = 0;
  while (which + 1 < table.count && table.first_piece[which + 1] <= piece) ++which;
  const AdamwTensor& t = table.tensors[which];
  const Factors f = factors(constants, numbers, t);
  const int64_t begin = (piece - table.first_piece[which]) * kPiece;
  const int64_t end = min(begin + kPiece, t.numel), whole = begin + (end - begin) / kWide * kWide;
  for (int64_t i = begin + threadIdx.x * kWide; i < whole; i += kThreads * kWide)
    update_vector<kWide>(f, t, i);
  const int64_t behind = whole + threadIdx.x;
  if (behind < end) update_vector<1>(f, t, behind);
}

bool is_aligned(const AdamwTensor& t) {
  return is_vectorised(t.grad, 0) && is_vectorised(t.weight, 0) && is_vectorised(t.m, 0) &&
         is_vectorised(t.v, 0) && is_vectorised(t.average, 0) && is_vectorised(t.rounded, 0);
}

// ---- the sum of squares

struct ArrayTable {
  FloatArray arrays[kArrays];
  int first_piece[kArrays];
  int count;
};

__global__ void __launch_bounds__(kThreads)
    squares_kernel(const __grid_constant__ ArrayTable table, double* __restrict__ pieces) {
  const int piece = static_cast<int>(blockIdx.x);
  int which = 0;
  while (which + 1 < table.count && table.first_piece[which + 1] <= piece) ++which;
  const FloatArray array = table.arrays[which];
  const int64_t begin = (piece - table.first_piece[which]) * kPiece;
  const int64_t end = min(begin + kPiece, array.numel);
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double value = double(array.data[i]);
    sum += value * value;
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) pieces[piece] = sum;
}

__global__ void __launch_bounds__(kThreads)
    add_pieces_kernel(const double* __restrict__ pieces, double* __restrict__ y, int64_t count) {
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += pieces[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) y[0] = sum;
}

}  // namespace

void adamw(CUstream_st* stream, const AdamwConstants& constants, const AdamwNumbers& given,
           const AdamwNumbers* on_device, std::span<const AdamwTensor> tensors) {
  for (size_t first = 0; first < tensors.size(); first += kTensors) {
    AdamwTable table{};
    table.count = static_cast<int>(std::min<size_t>(kTensors, tensors.size() - first));
    int pieces = 0;
    bool wide = true;
    for (int i = 0; i < table.count; ++i) {
      table.tensors[i] = tensors[first + size_t(i)];
      table.first_piece[i] = pieces;
      pieces += static_cast<int>(gpu::ceil_div(table.tensors[i].numel, kPiece));
      wide = wide && is_aligned(table.tensors[i]);
    }
    gpu::launch(wide ? adamw_kernel<4> : adamw_kernel<1>, static_cast<unsigned>(pieces), kThreads,
                0, stream, constants, given, on_device, table);
  }
}

int64_t sum_of_squares_workspace(std::span<const FloatArray> arrays) {
  int64_t pieces = 0;
  for (const FloatArray& array : arrays) pieces += gpu::ceil_div(array.numel, kPiece);
  return pieces;
}

void sum_of_squares(CUstream_st* stream, std::span<const FloatArray> arrays, double* workspace,
                    double* y) {
  int64_t before = 0;
  for (size_t first = 0; first < arrays.size(); first += kArrays) {
    ArrayTable table{};
    table.count = static_cast<int>(std::min<size_t>(kArrays, arrays.size() - first));
    int pieces = 0;
    for (int i = 0; i < table.count; ++i) {
      table.arrays[i] = arrays[first + size_t(i)];
      table.first_piece[i] = pieces;
      pieces += static_cast<int>(gpu::ceil_div(table.arrays[i].numel, kPiece));
    }
    gpu::launch(squares_kernel, static_cast<unsigned>(pieces), kThreads, 0, stream, table,
                workspace + before);
    before += pieces;
  }
  gpu::launch(add_pieces_kernel, 1, kThreads, 0, stream, workspace, y, before);
}

}  // namespace fathom::cuda
