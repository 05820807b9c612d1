#include "kernels/conv2d.h"

#include <algorithm>

#include "core/elements.h"
#include "kernels/cuda/conv3x3.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/launch.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"

namespace fathom {
namespace {

// Tensor cores read the map itself where it is 3x3: with our kernel at few channels, where memory
// bounds it and fusing more counts, otherwise with cuDNN if it is there. The rest is products of
// columns, a few images at a time: the columns of a map are kernel_h * kernel_w times as large as
// the map. 1x1 is a product of the map itself.
constexpr int64_t kColumnsBytes = int64_t(256) << 20;
constexpr int64_t kFewChannels = 64;

// Calls f(first image, geometry of the images, their columns) for runs of images; the columns are
// memory of their own, or undefined for a product of the map itself.
template <class F>
void for_images(const Im2col& shape, TensorOptions options, F&& f) {
  if (shape.is_product()) return f(int64_t(0), shape, Tensor());
  Im2col part = shape;
  part.B = 1;
  const int64_t bytes = part.rows() * part.columns() * size_of(options.dtype);
  const int64_t images = std::clamp<int64_t>(kColumnsBytes / bytes, 1, shape.B);
  part.B = images;
  Tensor columns = empty({part.rows(), part.columns()}, options);
  for (int64_t first = 0; first < shape.B; first += images) {
    part.B = std::min(images, shape.B - first);
    f(first, part, columns.narrow(0, 0, part.rows()));
  }
}

// Whether tensor cores read the map itself.
bool is_direct(const Im2col& s, int64_t O, DType dtype) {
  return (dtype == DType::f16 || dtype == DType::bf16) && s.kernel_h == 3 && s.kernel_w == 3 &&
         s.stride == 1 && s.pad == 1 && s.C % 16 == 0 && O % 16 == 0;
}

// Whether cuDNN is asked first.
bool prefers_cudnn(const Im2col& s, int64_t O, DType dtype) {
  return !s.is_product() && !(is_direct(s, O, dtype) && std::min(s.C, O) <= kFewChannels);
}

Tensor relu_of(CudaStream stream, const Tensor& x) {
  Tensor y = empty_like(x);
  kernels::relu_forward(stream, x, y);
  return y;
}

// mask: the result is zero where it is not positive; may be undefined.
void direct(CudaStream stream, const char* op, const Tensor& x, const Tensor& weight,
            const Tensor& bias, const Conv2dOptions& o, const Tensor& mask, Tensor& y) {
  cuda::launch_half(op, stream, {x, weight}, [&]<class T>(Tag<T>) {
    cuda::conv3x3_forward<T>(stream.handle, {.x = x.device_data<T>(),
                                             .weight = weight.device_data<T>(),
                                             .bias = cuda::device_data_or_null<T>(bias),
                                             .residual = cuda::device_data_or_null<T>(o.residual),
                                             .residual2 = cuda::device_data_or_null<T>(o.residual2),
                                             .y = y.device_data<T>(),
                                             .mask = cuda::device_data_or_null<T>(mask),
                                             .B = x.dim(0),
                                             .H = x.dim(1),
                                             .W = x.dim(2),
                                             .I = x.dim(3),
                                             .O = weight.dim(0),
                                             .relu_input = o.relu_input,
                                             .relu = o.relu});
  });
}

// Images first and following of a batch.
Tensor images_of(const Tensor& batch, int64_t first, int64_t count) {
  return batch.detach().narrow(0, first, count);
}

}  // namespace

void kernels::conv2d_forward(CudaStream stream, const Tensor& x_in, const Tensor& weight,
                             const Tensor& bias, const Conv2dOptions& o, Tensor& y) {
  const Im2col shape{x_in.dim(0),   x_in.dim(1),   x_in.dim(2), x_in.dim(3),
                     weight.dim(1), weight.dim(2), o.stride,    o.pad};
  const bool first_cudnn = prefers_cudnn(shape, weight.dim(0), x_in.dtype());
  if (!first_cudnn && is_direct(shape, weight.dim(0), x_in.dtype()))
    return direct(stream, "conv2d", x_in, weight, bias, o, {}, y);
  const Tensor x = o.relu_input ? relu_of(stream, x_in) : x_in;
  bool done = false;
  cuda::launch_float("conv2d", stream, {x, weight}, [&](auto) {
    done =
        first_cudnn && cuda::cudnn_forward(stream, shape, x, weight, bias, o.residual, o.relu, y);
  });
  if (done) {
    if (o.residual2.defined()) add_in_place(stream, o.residual2, y);
    return;
  }
  if (is_direct(shape, weight.dim(0), x.dtype())) {
    Conv2dOptions rest = o;
    rest.relu_input = false;
    return direct(stream, "conv2d", x, weight, bias, rest, {}, y);
  }
  for_images(shape, x.options(), [&](int64_t first, const Im2col& part, Tensor columns) {
    const Tensor in = images_of(x, first, part.B);
    Tensor out = images_of(y, first, part.B);
    const Tensor add = o.residual.defined() ? images_of(o.residual, first, part.B) : Tensor();
    if (columns.defined()) im2col(stream, part, in, columns);
    cuda::launch_float("conv2d", stream, {x, weight}, [&]<class T>(Tag<T>) {
      cuda::gemm(stream, {.dtype = x.dtype(),
                          .c_dtype = y.dtype(),
                          .a = (columns.defined() ? columns : in).device_data<T>(),
                          .b = weight.device_data<T>(),
                          .transpose_b = true,
                          .c = out.device_data<T>(),
                          .M = part.rows(),
                          .N = weight.dim(0),
                          .K = part.columns(),
                          .bias = cuda::device_data_or_null<T>(bias),
                          .add = cuda::device_data_or_null<T>(add),
                          .relu = o.relu});
    });
  });
  if (o.residual2.defined()) add_in_place(stream, o.residual2, y);
}

void kernels::conv2d_input_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                                    const Tensor& weight, const Tensor& x, bool relu_input,
                                    Tensor& dx) {
  const int64_t O = weight.dim(0), I = weight.dim(3);
  Tensor whole = relu_input ? empty_like(dx) : dx;
  bool done = false;
  cuda::launch_float("conv2d (gradient of x)", stream, {dy, weight}, [&](auto) {
    done = prefers_cudnn(shape, O, dy.dtype()) &&
           cuda::cudnn_input_gradient(stream, shape, dy, weight, whole);
  });
  if (!done && is_direct(shape, O, dy.dtype())) {
    whole = {};
    Tensor flipped = empty({I, 3, 3, O}, weight.options());
    cuda::launch_half("conv2d (gradient of x)", stream, {dy, weight}, [&]<class T>(Tag<T>) {
      cuda::conv3x3_flip(stream.handle, weight.device_data<T>(), flipped.device_data<T>(), O, I);
    });
    return direct(stream, "conv2d (gradient of x)", dy, flipped, {}, {}, relu_input ? x : Tensor(),
                  dx);
  }
  if (!done)
    for_images(shape, dy.options(), [&](int64_t first, const Im2col& part, Tensor columns) {
      Tensor to = images_of(whole, first, part.B);
      Tensor& rows = columns.defined() ? columns : to;
      linear_input_gradient(stream, images_of(dy, first, part.B), weight, rows);
      if (columns.defined()) col2im(stream, part, columns, to);
    });
  if (relu_input) relu_backward(stream, x, whole, dx);
}

void kernels::conv2d_weight_gradient(CudaStream stream, const Im2col& shape, const Tensor& dy,
                                     const Tensor& x_in, bool relu_input, Tensor& dweight) {
  const char* const op = "conv2d (gradient of the weight)";
  const int64_t O = dy.dim(3);
  const bool first_cudnn = prefers_cudnn(shape, O, dy.dtype());
  Tensor x = x_in;
  if (relu_input && (first_cudnn || !is_direct(shape, O, dy.dtype()))) x = relu_of(stream, x_in);
  bool done = false;
  cuda::launch_float(op, stream, {dy, x}, [&](auto) {
    if (!first_cudnn) return;
    Tensor rounded = empty(dweight.shape(), dy.options());  // as the caller rounds it anyway
    done = cuda::cudnn_weight_gradient(stream, shape, dy, x, rounded);
    if (done) copy_values(rounded, dweight);
  });
  if (done) return;
  if (is_direct(shape, O, dy.dtype())) {
    const int64_t slices =
        cuda::conv3x3_weight_gradient_slices(shape.B, shape.H, shape.W, shape.C, O);
    Tensor workspace;
    if (slices > 1) workspace = empty({slices, dweight.numel()}, dweight.options());
    cuda::launch_half(op, stream, {dy, x}, [&]<class T>(Tag<T>) {
      cuda::conv3x3_weight_gradient<T>(stream.handle,
                                       {.x = x.device_data<T>(),
                                        .dy = dy.device_data<T>(),
                                        .dweight = dweight.device_data<float>(),
                                        .workspace = cuda::device_data_or_null<float>(workspace),
                                        .B = shape.B,
                                        .H = shape.H,
                                        .W = shape.W,
                                        .I = shape.C,
                                        .O = O,
                                        .relu_input = relu_input});  // once more changes nothing
    });
    return;
  }
  for_images(shape, dy.options(), [&](int64_t first, const Im2col& part, Tensor columns) {
    const Tensor in = images_of(x, first, part.B), gradient = images_of(dy, first, part.B);
    if (columns.defined()) im2col(stream, part, in, columns);
    cuda::launch_float(op, stream, {dy, x}, [&]<class T>(Tag<T>) {
      cuda::gemm(stream, {.dtype = dy.dtype(),
                          .c_dtype = DType::f32,
                          .a = gradient.device_data<T>(),
                          .transpose_a = true,
                          .b = (columns.defined() ? columns : in).device_data<T>(),
                          .c = dweight.device_data<float>(),
                          .M = dy.dim(-1),
                          .N = part.columns(),
                          .K = part.rows(),
                          .add = first > 0 ? dweight.device_data<float>() : nullptr});
    });
  });
}

}  // namespace fathom
