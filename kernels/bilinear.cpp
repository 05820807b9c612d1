#include "kernels/bilinear.h"

#include "core/autograd.h"
#include "kernels/resample.h"

namespace fathom {

Tensor interpolate_bilinear(const Tensor& x_in, int64_t height, int64_t width, bool align_corners) {
  check(x_in.rank() == 4, "interpolate_bilinear: x must be [B, H, W, C], but is ", x_in.shape());
  check(height >= 1 && width >= 1, "interpolate_bilinear: the target size must be at least 1 x 1, ",
        "but is ", height, " x ", width);
  const Tensor x = x_in.contiguous();
  const auto axis = [&](int64_t inputs, int64_t outputs) {
    return x.dtype() == DType::f64 ? linear_taps<double>(inputs, outputs, align_corners)
                                   : linear_taps<float>(inputs, outputs, align_corners);
  };
  const AxisTaps rows = axis(x.dim(1), height), columns = axis(x.dim(2), width);
  Tensor y = empty({x.dim(0), height, width, x.dim(3)}, x.options());
  visit_stream(x.device(), [&](auto stream) { kernels::resample(stream, x, rows, columns, y); });

  return record(y, {x_in}, [shape = x.shape(), rows, columns](const Tensor& dy) -> Grads {
    Tensor dx = empty(shape, dy.options());
    visit_stream(dy.device(), [&](auto stream) {
      kernels::resample(stream, dy, transposed(rows), transposed(columns), dx);
    });
    return {dx};
  });
}

}  // namespace fathom
