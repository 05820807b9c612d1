#include "kernels/conv_transpose2d.h"

#include <cstring>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/linear.h"

namespace fathom {

// Reorders linear()'s result; the bias is added on the way. Its own adjoint is the inverse order.
static Tensor blocks_to_map(const Tensor& blocks_in, const Tensor& bias_in, const Blocks& n) {
  const Tensor blocks = blocks_in.contiguous();
  const Tensor bias = bias_in.defined() ? bias_in.contiguous() : bias_in;
  Tensor map = empty({n.B, n.s * n.H, n.s * n.W, n.O}, blocks.options());
  visit_stream(map.device(),
               [&](auto stream) { kernels::blocks_to_map(stream, n, blocks, bias, map); });
  return record(
      map, {blocks_in, bias_in},
      [n, shape = blocks.shape(), has_bias = bias.defined()](const Tensor& dy) -> Grads {
        Tensor db, dblocks = empty(shape, dy.options());
        visit_stream(dy.device(),
                     [&](auto stream) { kernels::map_to_blocks(stream, n, dy, dblocks); });
        if (has_bias) {
          db = empty({n.O}, {dy.dtype() == DType::f64 ? DType::f64 : DType::f32, dy.device()});
          visit_stream(dy.device(), [&](auto stream) { kernels::bias_gradient(stream, dy, db); });
          db = db.to(dy.dtype());
        }
        return {dblocks, db};
      });
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride) {
  check(x.rank() == 4 && weight.rank() == 4,
        "conv_transpose2d: expected x [B, H, W, C] and weight [s, s, O, C], got ", x.shape(),
        " and ", weight.shape());
  check(weight.dim(0) == stride && weight.dim(1) == stride && weight.dim(3) == x.dim(3),
        "conv_transpose2d: weight ", weight.shape(), " does not fit x ", x.shape(), " and stride ",
        stride, "; do weights and config describe the same model?");
  const Blocks n{x.dim(0), x.dim(1), x.dim(2), stride, weight.dim(2)};
  if (bias.defined())
    check(bias.shape() == Shape{n.O}, "conv_transpose2d: bias must be [", n.O, "], but is ",
          bias.shape());
  check_same_type("conv_transpose2d", x, weight, bias);
  const Shape matrix{stride * stride * n.O, x.dim(3)};
  const Tensor flat = weight.layout() == Layout::packed
                          ? Tensor::over(weight.storage(), matrix, contiguous_strides(matrix), 0,
                                         weight.dtype(), Layout::packed)
                          : weight.view(matrix);
  return blocks_to_map(linear(x, flat), bias, n);
}

Tensor pack_conv_transpose2d(const Tensor& weight) {
  check(weight.rank() == 4, "pack_conv_transpose2d: weight must be [s, s, O, C], got ",
        weight.shape());
  if (weight.layout() == Layout::packed || weight.dtype() == DType::f16 || weight.device() != kCpu)
    return weight;
  const int64_t C = weight.dim(3);
  const Tensor packed = pack_linear(weight.detach().view({weight.numel() / C, C}));
  return Tensor::over(packed.storage(), weight.shape(), contiguous_strides(weight.shape()), 0,
                      weight.dtype(), Layout::packed);
}

// ---- CPU

// map[b, s i + ky, s j + kx, :] <-> blocks[b, i, j, ky, kx, :]; runs of s * O elements.
template <class Copy>
static void for_each_run(const Blocks& n, Copy copy) {
  const int64_t run = n.s * n.O;
  parallel_for(n.B * n.H, 4, [=](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line)
      for (int64_t ky = 0; ky < n.s; ++ky)
        for (int64_t j = 0; j < n.W; ++j)
          copy(((line * n.s + ky) * n.W + j) * run, ((line * n.W + j) * n.s + ky) * run, run);
  });
}

void kernels::blocks_to_map(CpuStream, const Blocks& n, const Tensor& blocks, const Tensor& bias,
                            Tensor& map) {
  visit_float(map.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *from = blocks.data<T>(), *add = bias.defined() ? bias.data<T>() : nullptr;
    T* to = map.data<T>();
    for_each_run(n, [=](int64_t at_map, int64_t at_block, int64_t run) {
      if (!add) {
        std::memcpy(static_cast<void*>(to + at_map), from + at_block, size_t(run) * sizeof(T));
        return;
      }
      for (int64_t i = 0; i < run; i += n.O)
        for (int64_t o = 0; o < n.O; ++o)
          to[at_map + i + o] = cast<T>(Acc(from[at_block + i + o]) + Acc(add[o]));
    });
  });
}

void kernels::map_to_blocks(CpuStream, const Blocks& n, const Tensor& map, Tensor& blocks) {
  visit_float(map.dtype(), [&]<class T>(Tag<T>) {
    const T* from = map.data<T>();
    T* to = blocks.data<T>();
    for_each_run(n, [=](int64_t at_map, int64_t at_block, int64_t run) {
      std::memcpy(static_cast<void*>(to + at_block), from + at_map, size_t(run) * sizeof(T));
    });
  });
}

}  // namespace fathom
