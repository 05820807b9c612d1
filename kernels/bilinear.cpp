#include "kernels/bilinear.h"

#include "core/autograd.h"
#include "kernels/resample.h"

namespace fathom {

Tensor interpolate_bilinear(const Tensor& x_in, int64_t height, int64_t width, bool align_corners) {
  check(x_in.rank() == 4, "interpolate_bilinear: x must be [B, H, W, C], but is ", x_in.shape());
  check(height >= 1 && width >= 1, "interpolate_bilinear: the target size must be at least 1 x 1, ",
        "but is ", height, " x ", width);
  const Tensor x = x_in.contiguous();
  Tensor y = empty({x.dim(0), height, width, x.dim(3)}, x.options());
  visit_stream(x.device(),
               [&](auto stream) { kernels::bilinear_forward(stream, x, align_corners, y); });

  return record(y, {x_in}, [shape = x.shape(), align_corners](const Tensor& dy) -> Grads {
    Tensor dx = empty(shape, dy.options());
    visit_stream(dy.device(),
                 [&](auto stream) { kernels::bilinear_backward(stream, dy, align_corners, dx); });
    return {dx};
  });
}

// ---- CPU

struct MapTaps {
  AxisTaps rows, columns;
};

static MapTaps taps_of(const Tensor& x, const Tensor& y, bool align_corners) {
  const auto axis = [&](int i) {
    return x.dtype() == DType::f64 ? linear_taps<double>(x.dim(i), y.dim(i), align_corners)
                                   : linear_taps<float>(x.dim(i), y.dim(i), align_corners);
  };
  return {axis(1), axis(2)};
}

void kernels::bilinear_forward(CpuStream stream, const Tensor& x, bool align_corners, Tensor& y) {
  const MapTaps taps = taps_of(x, y, align_corners);
  resample(stream, x, taps.rows, taps.columns, y);
}

void kernels::bilinear_backward(CpuStream stream, const Tensor& dy, bool align_corners,
                                Tensor& dx) {
  const MapTaps taps = taps_of(dx, dy, align_corners);
  resample(stream, dy, transposed(taps.rows), transposed(taps.columns), dx);
}

}  // namespace fathom
