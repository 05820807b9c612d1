#include "kernels/cuda/cosine_alignment.h"

#include "kernels/device/block.cuh"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

// Memory bound: 2 * sizeof(E) bytes an element, 3 in the backward pass, whose second look at a row
// is served by the caches. A warp a token.
constexpr int kWarps = 4, kThreads = 32 * kWarps, kImageThreads = 256;
constexpr float kLeastNorm = 1e-8f;

// One token's cosine and the norms it was made of.
struct Angle {
  float cosine, student_norm, teacher_norm;
  bool clamped;  // the student's norm is the constant
};

template <int kWide, class E>
__device__ Angle angle(const E* __restrict__ f, const E* __restrict__ g, int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float ff = 0.0f, gg = 0.0f, fg = 0.0f;
#pragma unroll 4
  for (int64_t c = lane * kWide; c < C; c += 32 * kWide) {
    float a[kWide], b[kWide];
    load(a, f + c);
    load(b, g + c);
#pragma unroll
    for (int i = 0; i < kWide; ++i) ff += a[i] * a[i], gg += b[i] * b[i], fg += a[i] * b[i];
  }
  const float norm = sqrtf(warp_sum(ff)), other = sqrtf(warp_sum(gg)), dot = warp_sum(fg);
  // Not fmaxf, which would turn the norm of a NaN into the constant.
  const bool clamped = norm < kLeastNorm;
  const float student = clamped ? kLeastNorm : norm;
  const float teacher = other < kLeastNorm ? kLeastNorm : other;
  return {dot / student / teacher, student, teacher, clamped};
}

template <int kWide, class E>
__global__ void __launch_bounds__(kThreads)
    cosines_kernel(const E* __restrict__ student, const E* __restrict__ teacher,
                   float* __restrict__ cosines, int64_t tokens, int64_t C) {
  const int64_t token = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (token >= tokens) return;
  const float cosine = angle<kWide>(student + token * C, teacher + token * C, C).cosine;
  if (threadIdx.x % 32 == 0) cosines[token] = cosine;
}

__device__ double divisor_of(const Alignment& alignment, int kept, int64_t T) {
  return alignment.divide_by_kept ? double(max(kept, 1)) : double(T);
}

__global__ void __launch_bounds__(kImageThreads)
    alignment_loss_kernel(const float* __restrict__ cosines, Alignment alignment,
                          float* __restrict__ loss, int32_t* __restrict__ kept, int64_t T) {
  const int64_t b = blockIdx.x;
  double sum = 0.0, count = 0.0;
  for (int64_t t = threadIdx.x; t < T; t += kImageThreads) {
    const double cosine = double(cosines[b * T + t]);
    if (cosine > alignment.margin) continue;  // a NaN is kept
    sum += 1.0 - cosine;
    count += 1.0;
  }
  sum = block_sum<kImageThreads>(sum);
  count = block_sum<kImageThreads>(count);
  if (threadIdx.x > 0) return;
  kept[b] = static_cast<int32_t>(count);
  loss[b] = static_cast<float>(sum / divisor_of(alignment, kept[b], T));
}

template <int kWide, class E>
__global__ void __launch_bounds__(kThreads)
    alignment_backward_kernel(const E* __restrict__ student, const E* __restrict__ teacher,
                              Alignment alignment, const int32_t* __restrict__ kept,
                              const float* __restrict__ dloss, E* __restrict__ dstudent, int64_t T,
                              int64_t tokens, int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t token = int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (token >= tokens) return;
  const E *f = student + token * C, *g = teacher + token * C;
  const Angle a = angle<kWide>(f, g, C);
  const int64_t b = token / T;
  float along = 0.0f, back = 0.0f;
  const bool takes_part = !(double(a.cosine) > alignment.margin);
  if (takes_part) {
    const float w =
        dloss[b] / static_cast<float>(divisor_of(alignment, kept[b], T)) / a.student_norm;
    along = w / a.teacher_norm;
    back = a.clamped ? 0.0f : w * a.cosine / a.student_norm;
  }
#pragma unroll 4
  for (int64_t c = lane * kWide; c < C; c += 32 * kWide) {
    float x[kWide], y[kWide];
    load(x, f + c);
    load(y, g + c);
#pragma unroll
    for (int i = 0; i < kWide; ++i) x[i] = takes_part ? back * x[i] - along * y[i] : 0.0f;
    store(dstudent + token * C + c, x);
  }
}

unsigned blocks_of(int64_t tokens) {
  return static_cast<unsigned>(gpu::ceil_div<int64_t>(tokens, kWarps));
}

}  // namespace

template <class E>
void cosine_alignment_forward(CUstream_st* stream, const E* student, const E* teacher,
                              const Alignment& alignment, float* loss, int32_t* kept,
                              float* workspace, int64_t B, int64_t T, int64_t C) {
  const auto run = [&]<int kWide> {
    gpu::launch(cosines_kernel<kWide, device_t<E>>, blocks_of(B * T), kThreads, 0, stream,
                on_device(student), on_device(teacher), workspace, B * T, C);
  };
  if (is_vectorised(student, C) && is_vectorised(teacher, C))
    run.template operator()<kVector<E>>();
  else
    run.template operator()<1>();
  gpu::launch(alignment_loss_kernel, static_cast<unsigned>(B), kImageThreads, 0, stream, workspace,
              alignment, loss, kept, T);
}

template <class E>
void cosine_alignment_backward(CUstream_st* stream, const E* student, const E* teacher,
                               const Alignment& alignment, const int32_t* kept, const float* dloss,
                               E* dstudent, int64_t B, int64_t T, int64_t C) {
  const auto run = [&]<int kWide> {
    gpu::launch(alignment_backward_kernel<kWide, device_t<E>>, blocks_of(B * T), kThreads, 0,
                stream, on_device(student), on_device(teacher), alignment, kept, dloss,
                on_device(dstudent), T, B * T, C);
  };
  if (is_vectorised(student, C) && is_vectorised(teacher, C) && is_vectorised(dstudent, C))
    run.template operator()<kVector<E>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(E)                                                                  \
  template void cosine_alignment_forward(CUstream_st*, const E*, const E*, const Alignment&,   \
                                         float*, int32_t*, float*, int64_t, int64_t, int64_t); \
  template void cosine_alignment_backward(CUstream_st*, const E*, const E*, const Alignment&,  \
                                          const int32_t*, const float*, E*, int64_t, int64_t,  \
                                          int64_t);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
