#include "kernels/im2col.h"

#include <cstring>

#include "core/parallel.h"

namespace fathom::kernels {

void im2col(CpuStream, const Im2col& s, const Tensor& x, Tensor& columns) {
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const T* px = x.data<T>();
    T* out = columns.data<T>();
    const int64_t OW = s.out_w(), OH = s.out_h(), width = s.columns();
    parallel_for(s.B * OH, 1, [=](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t b = line / OH, y0 = line % OH * s.stride - s.pad;
        for (int64_t ox = 0; ox < OW; ++ox) {
          T* row = out + (line * OW + ox) * width;
          const int64_t x0 = ox * s.stride - s.pad;
          // The part of each kernel row that lies inside the map is contiguous in both.
          const int64_t first = std::max<int64_t>(0, -x0), last = std::min(s.kernel_w, s.W - x0);
          for (int64_t ky = 0; ky < s.kernel_h; ++ky, row += s.kernel_w * s.C) {
            const int64_t y = y0 + ky;
            const bool inside = y >= 0 && y < s.H && first < last;
            const int64_t from = inside ? first : s.kernel_w, to = inside ? last : s.kernel_w;
            std::fill(row, row + from * s.C, T{});
            if (inside)
              std::memcpy(static_cast<void*>(row + from * s.C),
                          px + ((b * s.H + y) * s.W + x0 + from) * s.C,
                          size_t((to - from) * s.C) * sizeof(T));
            std::fill(row + to * s.C, row + s.kernel_w * s.C, T{});
          }
        }
      }
    });
  });
}

void col2im(CpuStream, const Im2col& s, const Tensor& dcolumns, Tensor& dx) {
  visit_float(dx.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T* columns = dcolumns.data<T>();
    T* out = dx.data<T>();
    const int64_t OW = s.out_w(), OH = s.out_h(), width = s.columns();
    parallel_for(s.B * s.H, 1, [=](int64_t begin, int64_t end) {
      std::vector<Acc> sum(size_t(s.C));
      for (int64_t line = begin; line < end; ++line) {
        const int64_t b = line / s.H, y = line % s.H;
        for (int64_t x = 0; x < s.W; ++x) {
          std::fill(sum.begin(), sum.end(), Acc(0));
          for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
            const int64_t oy = (y + s.pad - ky) / s.stride;
            if (y + s.pad < ky || (y + s.pad - ky) % s.stride != 0 || oy >= OH) continue;
            for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
              const int64_t ox = (x + s.pad - kx) / s.stride;
              if (x + s.pad < kx || (x + s.pad - kx) % s.stride != 0 || ox >= OW) continue;
              const T* entry =
                  columns + ((b * OH + oy) * OW + ox) * width + (ky * s.kernel_w + kx) * s.C;
              for (int64_t c = 0; c < s.C; ++c) sum[size_t(c)] += Acc(entry[c]);
            }
          }
          T* to = out + (line * s.W + x) * s.C;
          for (int64_t c = 0; c < s.C; ++c) to[c] = cast<T>(sum[size_t(c)]);
        }
      }
    });
  });
}

}  // namespace fathom::kernels
