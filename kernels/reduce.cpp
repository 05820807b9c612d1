#include "kernels/reduce.h"

#include <algorithm>
#include <vector>

#include "core/autograd.h"
#include "core/elements.h"
#include "core/parallel.h"
#include "kernels/cpu/reduce_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom {

static Tensor scaled_sum(const Tensor& x_in, double factor) {
  const Tensor x = x_in.contiguous();
  Tensor y = empty({}, x.options());
  visit_stream(x.device(), [&](auto stream) { kernels::sum(stream, x, factor, y); });
  return record(y, {x_in}, [shape = x.shape(), factor](const Tensor& dy) -> Grads {
    Tensor dx = empty(shape, dy.options());
    visit_stream(dy.device(), [&](auto stream) { kernels::sum_backward(stream, dy, factor, dx); });
    return {dx};
  });
}

Tensor sum(const Tensor& x) { return scaled_sum(x, 1); }

Tensor mean(const Tensor& x) { return scaled_sum(x, 1 / double(x.numel())); }

static Tensor along_rows(const Tensor& x, auto&& sum_into) {
  check(x.rank() > 0 && x.is_contiguous(), "column sums: x must be contiguous [..., C], but is ",
        x.shape());
  Tensor out = empty({x.dim(-1)}, x.options());
  visit_stream(x.device(), [&](auto stream) { sum_into(stream, out); });
  return out;
}

Tensor column_sum(const Tensor& x) {
  return along_rows(x, [&](auto stream, Tensor& out) { kernels::column_sum(stream, x, out); });
}

Tensor column_dot(const Tensor& x, const Tensor& y) {
  check(x.shape() == y.shape() && x.dtype() == y.dtype() && x.device() == y.device() &&
            y.is_contiguous(),
        "column_dot: x and y must be alike and contiguous, but are ", x.shape(), ' ', x.dtype(),
        " and ", y.shape(), ' ', y.dtype());
  return along_rows(x, [&](auto stream, Tensor& out) { kernels::column_dot(stream, x, y, out); });
}

// ---- CPU

// Elements of a piece that is summed in one go: 2^13 / 64 additions a lane in float.
constexpr int64_t kPiece = 1 << 13;

void kernels::sum(CpuStream, const Tensor& x, double scale, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const auto loop = cpu::loops<T>(cpu::reduce()).sum;
    const auto* px = cpu::stored(x.data<T>());
    std::vector<double> pieces(size_t(ceil_div(x.numel(), kPiece)));
    parallel_for(x.numel(), kPiece, [&](int64_t begin, int64_t end) {
      pieces[size_t(begin / kPiece)] = loop(px + begin, end - begin);
    });
    double total = 0;
    for (const double piece : pieces) total += piece;
    *y.data<T>() = cast<T>(total * scale);
  });
}

void kernels::sum_backward(CpuStream stream, const Tensor& dy, double scale, Tensor& dx) {
  fill(stream, dy.item() * scale, dx);
}

static void reduce_columns(const Tensor& x, const Tensor& y, Tensor& out) {
  const int64_t C = out.numel(), N = x.numel() / C;
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    using Sum = acc_t<T>;
    const auto loop = cpu::loops<T>(cpu::reduce()).columns;
    const auto* px = cpu::stored(x.data<T>());
    const auto* py = y.defined() ? cpu::stored(y.data<T>()) : nullptr;
    // Rows of a piece: about 2^15 elements, but few enough additions for a float.
    const int64_t rows = std::clamp<int64_t>((1 << 15) / C, 16, 256), pieces = ceil_div(N, rows);
    Tensor partial = empty({pieces, C}, {dtype_of<Sum>()});
    Sum* sums = partial.data<Sum>();
    parallel_for(N, rows, [=](int64_t begin, int64_t end) {
      loop(px + begin * C, py ? py + begin * C : nullptr, sums + begin / rows * C, end - begin, C);
    });
    T* result = out.data<T>();
    for (int64_t c = 0; c < C; ++c) {
      double total = 0;
      for (int64_t i = 0; i < pieces; ++i) total += sums[i * C + c];
      result[c] = cast<T>(total);
    }
  });
}

void kernels::column_sum(CpuStream, const Tensor& x, Tensor& out) { reduce_columns(x, {}, out); }

void kernels::column_dot(CpuStream, const Tensor& x, const Tensor& y, Tensor& out) {
  reduce_columns(x, y, out);
}

}  // namespace fathom
