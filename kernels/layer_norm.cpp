#include "kernels/layer_norm.h"

#include <cassert>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/cpu/layer_norm_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom {

Tensor layer_norm(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in, double eps,
                  int64_t skip) {
  check(x_in.rank() >= 1, "layer_norm: x must be [..., C], but is a scalar");
  const Shape expected{x_in.dim(-1)};
  check(weight_in.shape() == expected && bias_in.shape() == expected,
        "layer_norm: weight and bias must be ", expected, ", the last axis of x ", x_in.shape(),
        ", but are ", weight_in.shape(), " and ", bias_in.shape(),
        "; do weights and config describe the same model?");
  check_same_type("layer_norm", x_in, weight_in, bias_in);
  check(skip == 0 || (x_in.rank() == 3 && skip > 0 && skip < x_in.dim(1)),
        "layer_norm: cannot leave out the first ", skip, " rows of every image of x ", x_in.shape(),
        "; it must be [B, T, C] with a larger T");
  if (skip > 0 && x_in.device() == kCpu)
    return layer_norm(x_in.narrow(1, skip, x_in.dim(1) - skip), weight_in, bias_in, eps);

  const Tensor x = x_in.contiguous(), weight = weight_in.contiguous(), bias = bias_in.contiguous();
  Shape shape = x.shape();
  if (skip > 0) shape = {x.dim(0), x.dim(1) - skip, x.dim(2)};
  Tensor y = empty(shape, x.options()), mean, rstd;
  if (needs_grad(x_in) || needs_grad(weight_in) || needs_grad(bias_in)) {
    const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    mean = empty({y.numel() / y.dim(-1)}, {dtype, x.device()});
    rstd = empty_like(mean);
  }
  visit_stream(x.device(), [&](auto stream) {
    kernels::layer_norm_forward(stream, x, weight, bias, eps, skip, y, mean, rstd);
  });

  return record_onto(
      y, {x_in, weight_in, bias_in}, [=](const Tensor& dy, const Tensor& dresidual) -> Grads {
        Tensor dx = empty_like(x), dweight = empty_like(weight), dbias = empty_like(weight);
        visit_stream(x.device(), [&](auto stream) {
          kernels::layer_norm_backward(stream, x, weight, mean, rstd, dy, dresidual, skip, dx,
                                       dweight, dbias);
        });
        return {dx, dweight, dbias};
      });
}

void kernels::layer_norm_forward(CpuStream, const Tensor& x, const Tensor& weight,
                                 const Tensor& bias, double eps, int64_t skip, Tensor& y,
                                 Tensor& mean, Tensor& rstd) {
  assert(skip == 0);
  const int64_t C = weight.numel();
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto loop = cpu::loops<T>(cpu::layer_norm()).forward;
    const auto *px = cpu::stored(x.data<T>()), *pw = cpu::stored(weight.data<T>()),
               *pb = cpu::stored(bias.data<T>());
    auto* py = cpu::stored(y.data<T>());
    Sum* pm = mean.defined() ? mean.data<Sum>() : nullptr;
    Sum* pr = rstd.defined() ? rstd.data<Sum>() : nullptr;
    parallel_for(x.numel() / C, 16, [=](int64_t begin, int64_t end) {
      loop(px + begin * C, pw, pb, eps, py + begin * C, pm ? pm + begin : nullptr,
           pr ? pr + begin : nullptr, end - begin, C);
    });
  });
}

// Rows of a chunk; each leaves its own sums for dweight and dbias.
constexpr int64_t kBackwardRows = 32;

void kernels::layer_norm_backward(CpuStream, const Tensor& x, const Tensor& weight,
                                  const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                                  const Tensor& dresidual, int64_t skip, Tensor& dx,
                                  Tensor& dweight, Tensor& dbias) {
  assert(skip == 0);
  const int64_t C = weight.numel(), N = x.numel() / C, chunks = ceil_div(N, kBackwardRows);
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto loop = cpu::loops<T>(cpu::layer_norm()).backward;
    const auto *px = cpu::stored(x.data<T>()), *pw = cpu::stored(weight.data<T>()),
               *pdy = cpu::stored(dy.data<T>());
    const Sum *pm = mean.data<Sum>(), *pr = rstd.data<Sum>();
    auto* pdx = cpu::stored(dx.data<T>());
    Tensor partial = empty({chunks, 2, C}, {dtype_of<Sum>()});
    Sum* sums = partial.data<Sum>();
    parallel_for(N, kBackwardRows, [=](int64_t begin, int64_t end) {
      Sum* own = sums + begin / kBackwardRows * 2 * C;
      loop(px + begin * C, pw, pm + begin, pr + begin, pdy + begin * C, pdx + begin * C, own,
           own + C, end - begin, C);
    });
    T *pdw = dweight.data<T>(), *pdb = dbias.data<T>();
    for (int64_t c = 0; c < C; ++c) {
      double w = 0, b = 0;
      for (int64_t i = 0; i < chunks; ++i) {
        w += sums[i * 2 * C + c];
        b += sums[i * 2 * C + C + c];
      }
      pdw[c] = cast<T>(w);
      pdb[c] = cast<T>(b);
    }
  });
  if (dresidual.defined()) fathom::add_in_place(dx, dresidual);
}

}  // namespace fathom
