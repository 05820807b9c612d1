#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom {

Tensor attention(const Tensor& qkv_in, int64_t heads) {
  check(heads >= 1, "attention: the number of heads must be at least 1, but is ", heads);
  check(qkv_in.rank() == 3 && qkv_in.dim(2) % (3 * heads) == 0,
        "attention: qkv must be [B, T, 3 * ", heads, " heads * D], but is ", qkv_in.shape());
  const int64_t B = qkv_in.dim(0), T = qkv_in.dim(1);
  const Tensor qkv = qkv_in.contiguous();
  Tensor y = empty({B, T, qkv.dim(2) / 3}, qkv.options()), lse;
  if (needs_grad(qkv_in))
    lse = empty({B, heads, T}, {qkv.dtype() == DType::f64 ? DType::f64 : DType::f32, qkv.device()});
  visit_stream(qkv.device(),
               [&](auto stream) { kernels::attention_forward(stream, qkv, heads, y, lse); });

  return record(y, {qkv_in}, [qkv, heads, y = y.detach(), lse](const Tensor& dy) -> Grads {
    Tensor dqkv = empty_like(qkv);
    visit_stream(qkv.device(), [&](auto stream) {
      kernels::attention_backward(stream, qkv, heads, y, lse, dy, dqkv);
    });
    return {dqkv};
  });
}

// ---- CPU

template <class T>
static cpu::AttentionHead<T> head_of(const T* qkv, int64_t image, int64_t head, int64_t heads,
                                     int64_t tokens, int64_t width) {
  const int64_t channels = heads * width;
  const T* q = qkv + image * tokens * 3 * channels + head * width;
  return {.q = q,
          .k = q + channels,
          .v = q + 2 * channels,
          .stride = 3 * channels,
          .tokens = tokens,
          .width = width,
          .scale = 1 / std::sqrt(double(width))};
}

// Queries of a strip: their score rows stay in the L2 cache beside the keys and values.
static int64_t strip_rows(int64_t tokens, int64_t element_bytes, int64_t row_tile) {
  constexpr int64_t kRows = 36, kBytes = 600 << 10;
  const int64_t fitting = std::clamp<int64_t>(kBytes / (tokens * element_bytes), 1, kRows);
  return fitting < row_tile ? fitting : fitting / row_tile * row_tile;
}

// Image after image, so that the packed keys and values of one only are held.
void kernels::attention_forward(CpuStream, const Tensor& qkv, int64_t heads, Tensor& y,
                                Tensor& lse) {
  const int64_t tokens = y.dim(1), channels = y.dim(2), width = channels / heads;
  visit_float(qkv.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto& loops = cpu::loops<T>(cpu::attention());
    const auto* pqkv = cpu::stored(qkv.data<T>());
    auto* py = cpu::stored(y.data<T>());
    Sum* plse = lse.defined() ? lse.data<Sum>() : nullptr;

    const int64_t head_bytes = round_up(loops.packed_bytes(tokens, width), 64);
    Tensor packed = empty({heads * head_bytes}, {DType::u8});
    std::byte* ppacked = reinterpret_cast<std::byte*>(packed.data<uint8_t>());
    const int64_t panels = ceil_div(tokens, loops.key_panel);
    const int64_t rows = strip_rows(tokens, sizeof(Sum), loops.row_tile);
    const int64_t strips = ceil_div(tokens, rows);

    for (int64_t b = 0; b < y.dim(0); ++b) {
      parallel_for(heads * panels, 8, [=](int64_t begin, int64_t end) {
        while (begin < end) {  // a chunk may run over the end of a head
          const int64_t h = begin / panels, first = begin % panels;
          const int64_t last = std::min(panels, first + end - begin);
          loops.pack(head_of(pqkv, b, h, heads, tokens, width), first, last,
                     ppacked + h * head_bytes);
          begin += last - first;
        }
      });
      parallel_for(heads * strips, 1, [=](int64_t begin, int64_t end) {
        Tensor scratch = empty({loops.forward_scratch(rows, tokens, width)}, {DType::u8});
        std::byte* pscratch = reinterpret_cast<std::byte*>(scratch.data<uint8_t>());
        for (int64_t n = begin; n < end; ++n) {
          const int64_t h = n / strips, q = n % strips * rows;
          loops.forward(head_of(pqkv, b, h, heads, tokens, width), ppacked + h * head_bytes, q,
                        std::min(tokens, q + rows), py + b * tokens * channels + h * width,
                        channels, plse ? plse + (b * heads + h) * tokens : nullptr, pscratch);
        }
      });
    }
  });
}

// Every task owns some keys of a head, hence rows of dk and dv; each leaves its share of dq, and
// the shares are added in order. How keys are divided depends on the shape alone.
void kernels::attention_backward(CpuStream, const Tensor& qkv, int64_t heads, const Tensor& y,
                                 const Tensor& lse, const Tensor& dy, Tensor& dqkv) {
  const int64_t tokens = y.dim(1), channels = y.dim(2), width = channels / heads;
  visit_float(qkv.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto& loops = cpu::loops<T>(cpu::attention());
    const auto *pqkv = cpu::stored(qkv.data<T>()), *py = cpu::stored(y.data<T>()),
               *pdy = cpu::stored(dy.data<T>());
    auto* pdqkv = cpu::stored(dqkv.data<T>());
    const Sum* plse = lse.data<Sum>();

    constexpr int64_t kTasks = 16, kFewestKeys = 128;
    const int64_t wanted = std::min(ceil_div(kTasks, heads), ceil_div(tokens, kFewestKeys));
    const int64_t keys = round_up(ceil_div(tokens, wanted), loops.key_panel);
    const int64_t parts = ceil_div(tokens, keys), padded = loops.padded_width(width);
    Tensor dq_parts = empty({heads, parts, tokens, padded}, {dtype_of<Sum>()});
    Sum* pparts = dq_parts.data<Sum>();

    for (int64_t b = 0; b < y.dim(0); ++b) {
      const int64_t image = b * tokens * channels;
      parallel_for(heads * parts, 1, [=](int64_t begin, int64_t end) {
        Tensor scratch = empty({loops.backward_scratch(width)}, {DType::u8});
        std::byte* pscratch = reinterpret_cast<std::byte*>(scratch.data<uint8_t>());
        for (int64_t n = begin; n < end; ++n) {
          const int64_t h = n / parts, first = n % parts * keys;
          auto* dq = pdqkv + 3 * image + h * width;
          loops.backward(head_of(pqkv, b, h, heads, tokens, width),
                         {.y = py + image + h * width,
                          .dy = pdy + image + h * width,
                          .y_stride = channels,
                          .lse = plse + (b * heads + h) * tokens,
                          .dq = pparts + n * tokens * padded,
                          .dk = dq + channels,
                          .dv = dq + 2 * channels,
                          .grad_stride = 3 * channels},
                         first, std::min(tokens, first + keys), pscratch);
        }
      });
      parallel_for(tokens, 16, [=](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t)
          for (int64_t h = 0; h < heads; ++h)
            loops.add_parts(pparts + (h * parts * tokens + t) * padded, parts, tokens * padded,
                            1 / std::sqrt(double(width)),
                            pdqkv + 3 * image + t * 3 * channels + h * width, width);
      });
    }
  });
}

}  // namespace fathom
