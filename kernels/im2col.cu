#include "kernels/cuda/im2col.h"
#include "core/gpu.h"
#include "kernels/device/vector.cuh"

namespace fathom::cuda {
namespace {

constexpr int kThreads = 256;

struct Geometry {
  int H, W, C, kernel_h, kernel_w, stride, pad, out_h, out_w;

  static Geometry of(const Im2col& s) {
    const auto i = [](int64_t x) { return static_cast<int>(x); };
    return {i(s.H),      i(s.W),   i(s.C),       i(s.kernel_h), i(s.kernel_w),
            i(s.stride), i(s.pad), i(s.out_h()), i(s.out_w())};
  }
};

// Memory bound: writes kernel_h * kernel_w elements for each of the map, which is read from the
// caches. A thread copies kWide channels of one pixel under one position of the kernel.
template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    im2col_kernel(const T* __restrict__ x, T* __restrict__ columns, Geometry g, int64_t pieces) {
  const int groups = g.C / kWide;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= pieces) return;
  int64_t rest = i;
  const int c = static_cast<int>(rest % groups) * kWide;
  rest /= groups;
  const int kx = static_cast<int>(rest % g.kernel_w);
  rest /= g.kernel_w;
  const int ky = static_cast<int>(rest % g.kernel_h);
  rest /= g.kernel_h;
  const int ox = static_cast<int>(rest % g.out_w);
  rest /= g.out_w;
  const int row = static_cast<int>(rest % g.out_h) * g.stride - g.pad + ky;
  const int column = ox * g.stride - g.pad + kx;
  const int64_t image = rest / g.out_h;
  float values[kWide] = {};
  if (row >= 0 && row < g.H && column >= 0 && column < g.W)
    load(values, x + ((image * g.H + row) * g.W + column) * g.C + c);
  store(columns + i * kWide, values);
}

// Memory bound: each entry of the columns is read once, by the pixel it was copied from.
template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    col2im_kernel(const T* __restrict__ columns, T* __restrict__ dx, Geometry g, int64_t pieces) {
  const int groups = g.C / kWide;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= pieces) return;
  int64_t rest = i;
  const int c = static_cast<int>(rest % groups) * kWide;
  rest /= groups;
  const int column = static_cast<int>(rest % g.W) + g.pad;
  rest /= g.W;
  const int row = static_cast<int>(rest % g.H) + g.pad;
  const int64_t image = rest / g.H;
  float sum[kWide] = {};
  for (int ky = 0; ky < g.kernel_h; ++ky) {
    const int oy = (row - ky) / g.stride;
    if (row < ky || (row - ky) % g.stride != 0 || oy >= g.out_h) continue;
    for (int kx = 0; kx < g.kernel_w; ++kx) {
      const int ox = (column - kx) / g.stride;
      if (column < kx || (column - kx) % g.stride != 0 || ox >= g.out_w) continue;
      const int64_t entry = ((image * g.out_h + oy) * g.out_w + ox) * g.kernel_h + ky;
      float values[kWide];
      load(values, columns + (entry * g.kernel_w + kx) * g.C + c);
#pragma unroll
      for (int k = 0; k < kWide; ++k) sum[k] += values[k];
    }
  }
  store(dx + i * kWide, sum);
}

unsigned blocks_for(int64_t pieces) {
  return static_cast<unsigned>(gpu::ceil_div<int64_t>(pieces, kThreads));
}

}  // namespace

template <class T>
void im2col(CUstream_st* stream, const Im2col& shape, const T* x, T* columns) {
  const int64_t count = shape.rows() * shape.columns();
  const auto run = [&]<int kWide> {
    gpu::launch(im2col_kernel<device_t<T>, kWide>, blocks_for(count / kWide), kThreads, 0, stream,
                on_device(x), on_device(columns), Geometry::of(shape), count / kWide);
  };
  if (is_vectorised(x, shape.C) && is_vectorised(columns, shape.C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

template <class T>
void col2im(CUstream_st* stream, const Im2col& shape, const T* columns, T* dx) {
  const int64_t count = shape.B * shape.H * shape.W * shape.C;
  const auto run = [&]<int kWide> {
    gpu::launch(col2im_kernel<device_t<T>, kWide>, blocks_for(count / kWide), kThreads, 0, stream,
                on_device(columns), on_device(dx), Geometry::of(shape), count / kWide);
  };
  if (is_vectorised(columns, shape.C) && is_vectorised(dx, shape.C))
    run.template operator()<kVector<T>>();
  else
    run.template operator()<1>();
}

#define FATHOM_INSTANTIATE(T)                                      \
  template void im2col(CUstream_st*, const Im2col&, const T*, T*); \
  template void col2im(CUstream_st*, const Im2col&, const T*, T*);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(float16)
FATHOM_INSTANTIATE(bfloat16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cuda
