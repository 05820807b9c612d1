#include "kernels/conv2d.h"

#include <utility>

#include "core/autograd.h"
#include "kernels/bilinear.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/stored.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/visit_gemm.h"

namespace fathom {
namespace {

using cpu::Activation, cpu::ConvUse, cpu::stored, cpu::stored_t;

// How a convolution is computed.
enum class Path { direct, product, columns };

Path path_of(const Shape& weight, int64_t stride, int64_t pad, Device device = kCpu) {
  if (device == kCpu && weight[1] == 3 && weight[2] == 3 && stride == 1 && pad == 1)
    return Path::direct;
  if (weight[1] == 1 && weight[2] == 1 && stride == 1 && pad == 0) return Path::product;
  return Path::columns;
}

// Whether any argument needs a gradient.
bool needed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  return needs_grad(x) || needs_grad(weight) || needs_grad(bias) || needs_grad(o.residual) ||
         needs_grad(o.residual2);
}

void check_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const Conv2dOptions& o) {
  check(x.rank() == 4 && weight.rank() == 4,
        "conv2d: expected x [B, H, W, I] and weight [O, kh, kw, I], got ", x.shape(), " and ",
        weight.shape());
  check(weight.dim(3) == x.dim(3), "conv2d: weight ", weight.shape(), " does not fit x ", x.shape(),
        ": the last axes must agree; do weights and config describe the same model?");
  if (bias.defined())
    check(bias.shape() == Shape{weight.dim(0)}, "conv2d: bias must be [", weight.dim(0),
          "], but is ", bias.shape());
  check(o.stride >= 1 && o.pad >= 0, "conv2d: stride ", o.stride, " and pad ", o.pad,
        " must be at least 1 and 0");
  check(x.dim(1) + 2 * o.pad >= weight.dim(1) && x.dim(2) + 2 * o.pad >= weight.dim(2),
        "conv2d: the kernel of ", weight.shape(), " is larger than the padded map ", x.shape());
  check(!o.relu || !o.residual.defined(), "conv2d: relu and residual cannot be fused together");
  check(o.residual.defined() || !o.residual2.defined(), "conv2d: residual2 needs a first residual");
  check_same_type("conv2d", x, weight, bias, o.residual, o.residual2);
  check(weight.layout() == Layout::strided || !needed(x, weight, bias, o),
        "conv2d: packed weights have no gradients, for any argument; use NoGrad or strided ones");
}

// The weight as the path reads it: packed already, or packed into this thread's scratch.
template <class T>
const stored_t<T>* packed_weight(const Tensor& weight, Path path) {
  using S = stored_t<T>;
  if (weight.layout() == Layout::packed)
    return reinterpret_cast<const S*>(weight.storage()->data());
  const int64_t O = weight.dim(0), I = weight.dim(3), K = weight.dim(1) * weight.dim(2) * I;
  const Tensor dense = weight.detach().contiguous();
  if (path == Path::direct) {
    S* packed = cpu::scratch<S>(cpu::Scratch::weights, cpu::packed_conv_size<S>(O, I));
    cpu::pack_conv(stored(dense.data<T>()), O, I, ConvUse::forward, packed);
    return packed;
  }
  S* packed = cpu::scratch<S>(cpu::Scratch::weights, cpu::packed_size<S>(K, O));
  cpu::pack(stored(dense.data<T>()), K, true, K, O, packed);
  return packed;
}

Im2col columns_of(const Tensor& x, const Shape& weight, int64_t stride, int64_t pad) {
  return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), weight[1], weight[2], stride, pad};
}

// The type in which gradients of weights are summed.
TensorOptions sums_of(const Tensor& x) {
  return {x.dtype() == DType::f64 ? DType::f64 : DType::f32, x.device()};
}

// What the backward pass needs of the forward one. y is kept for a fused ReLU only.
struct Saved {
  Tensor x, weight, y;
  bool has_bias;
  int64_t stride, pad;
  bool relu_input;
  bool need_x, need_w;
};

// dx, dweight, dbias of a direct 3x3 convolution; masks are applied while maps are read.
Grads direct_gradients(const Saved& s, const Tensor& dy) {
  const int64_t B = s.x.dim(0), H = s.x.dim(1), W = s.x.dim(2), I = s.x.dim(3);
  const int64_t O = s.weight.dim(0);
  const profile::Op op;
  Tensor dx, dw;
  visit_gemm(dy.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    const S* mask = stored(data_or_null<T>(s.y));
    if (s.need_x) {
      dx = empty_like(s.x);
      S* packed = cpu::scratch<S>(cpu::Scratch::weights, cpu::packed_conv_size<S>(I, O));
      cpu::pack_conv(stored(s.weight.data<T>()), O, I, ConvUse::input_gradient, packed);
      cpu::Epilogue<S> epilogue;
      if (s.relu_input) epilogue.mask = stored(s.x.data<T>());
      cpu::conv3x3<S>(
          {.x = {.map = stored(dy.data<T>()), .height = H, .width = W, .channels = O, .mask = mask},
           .weight = packed,
           .y = stored(dx.data<T>()),
           .B = B,
           .H = H,
           .W = W,
           .OC = I,
           .epilogue = epilogue,
           .head = {}});
    }
    if (s.need_w) {
      dw = empty(s.weight.shape(), {dtype_of<acc_t<T>>()});
      cpu::conv3x3_weight_gradient<S>({.x = {.map = stored(s.x.data<T>()),
                                             .height = H,
                                             .width = W,
                                             .channels = I,
                                             .relu = s.relu_input},
                                       .dy = stored(dy.data<T>()),
                                       .dy_mask = mask,
                                       .B = B,
                                       .H = H,
                                       .W = W,
                                       .OC = O,
                                       .dweight = dw.data<acc_t<T>>()});
      dw = dw.to(dy.dtype());
    }
  });
  return {dx, dw, {}};
}

// dx and dweight as products; dy is masked already.
Grads product_gradients(const Saved& s, const Tensor& dy) {
  const Im2col shape = columns_of(s.x, s.weight.shape(), s.stride, s.pad);
  Tensor dx, dw;
  if (s.need_x) {
    dx = empty_like(s.x);
    visit_stream(dx.device(), [&](auto stream) {
      kernels::conv2d_input_gradient(stream, shape, dy, s.weight, s.x, s.relu_input, dx);
    });
  }
  if (s.need_w) {
    dw = empty(s.weight.shape(), sums_of(dy));
    visit_stream(dw.device(), [&](auto stream) {
      kernels::conv2d_weight_gradient(stream, shape, dy, s.x, s.relu_input, dw);
    });
    dw = dw.to(dy.dtype());
  }
  return {dx, dw, {}};
}

Grads gradients(const Saved& s, const Tensor& dy_in) {
  const bool direct = path_of(s.weight.shape(), s.stride, s.pad, dy_in.device()) == Path::direct;
  Tensor dy = dy_in;
  if (s.y.defined() && (!direct || s.has_bias)) {  // the bias needs the masked gradient too
    dy = empty_like(dy_in);
    visit_stream(dy.device(), [&](auto stream) { kernels::relu_backward(stream, s.y, dy_in, dy); });
  }
  Grads grads = direct ? direct_gradients(s, dy) : product_gradients(s, dy);
  if (s.has_bias) {
    Tensor db = empty({s.weight.dim(0)}, sums_of(dy));
    visit_stream(dy.device(), [&](auto stream) { kernels::bias_gradient(stream, dy, db); });
    grads[2] = db.to(dy.dtype());
  }
  return grads;
}

Tensor convolve_as_f32(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       Conv2dOptions options) {
  options.residual = in_f32(options.residual);
  options.residual2 = in_f32(options.residual2);
  return conv2d(in_f32(x), in_f32(weight), in_f32(bias), options).to(DType::f16);
}

}  // namespace

Tensor conv2d(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in,
              const Conv2dOptions& options) {
  Conv2dOptions o = options;
  check(x_in.rank() == 4, "conv2d: x must be [B, H, W, I], got ", x_in.shape());
  check(o.upsample_h >= 0 && o.upsample_w >= 0 && (o.upsample_h > 0) == (o.upsample_w > 0),
        "conv2d: upsample_h and upsample_w must both be at least 1, or both 0, but are ",
        o.upsample_h, " and ", o.upsample_w);
  const bool recorded = needed(x_in, weight_in, bias_in, o);
  const Path path = weight_in.rank() == 4
                        ? path_of(weight_in.shape(), o.stride, o.pad, x_in.device())
                        : Path::columns;
  if (o.upsample_h > 0) {
    const int64_t H = std::exchange(o.upsample_h, 0), W = std::exchange(o.upsample_w, 0);
    if (recorded || path != Path::direct || x_in.dtype() == DType::f16)
      return conv2d(interpolate_bilinear(x_in, H, W, true), weight_in, bias_in, o);
    o.upsample_h = H, o.upsample_w = W;
  }
  check_conv2d(x_in, weight_in, bias_in, o);
  if (x_in.dtype() == DType::f16 && x_in.device() == kCpu)
    return convolve_as_f32(x_in, weight_in, bias_in, o);

  const Tensor x = x_in.contiguous(), bias = bias_in.defined() ? bias_in.contiguous() : bias_in;
  const int64_t H = o.upsample_h > 0 ? o.upsample_h : x.dim(1);
  const int64_t W = o.upsample_h > 0 ? o.upsample_w : x.dim(2);
  const Shape shape{x.dim(0), (H + 2 * o.pad - weight_in.dim(1)) / o.stride + 1,
                    (W + 2 * o.pad - weight_in.dim(2)) / o.stride + 1, weight_in.dim(0)};
  for (Tensor* residual : {&o.residual, &o.residual2}) {
    if (!residual->defined()) continue;
    check(residual->shape() == shape, "conv2d: a residual must be ", shape, ", but is ",
          residual->shape());
    *residual = residual->contiguous();
  }
  Tensor y = empty(shape, x.options());
  const Tensor weight =
      weight_in.layout() == Layout::packed ? weight_in : weight_in.detach().contiguous();
  visit_stream(x.device(),
               [&](auto stream) { kernels::conv2d_forward(stream, x, weight, bias, o, y); });
  if (!recorded) return y;
  const Saved saved{x,
                    weight,
                    o.relu ? y.detach() : Tensor(),
                    bias.defined(),
                    o.stride,
                    o.pad,
                    o.relu_input,
                    needs_grad(x_in),
                    needs_grad(weight_in)};
  return record(y, {x_in, weight_in, bias_in, options.residual, options.residual2},
                [saved](const Tensor& dy) -> Grads {
                  Grads grads = gradients(saved, dy);
                  grads.push_back(dy);
                  grads.push_back(dy);
                  return grads;
                });
}

Tensor depth_head(const Tensor& x_in, int64_t H, int64_t W, const Tensor& weight1,
                  const Tensor& bias1_in, const Tensor& weight2_in, const Tensor& bias2_in,
                  HeadActivation activation, double scale) {
  check(bias1_in.defined() && bias2_in.defined(), "depth_head: both biases must be there");
  const Tensor bias1 = bias1_in.contiguous(), bias2 = bias2_in.contiguous();
  const Tensor weight2 = weight2_in.contiguous();
  check(weight1.rank() == 4, "depth_head: weight1 must be [O, 3, 3, F], got ", weight1.shape());
  const int64_t O = weight1.dim(0);
  check(x_in.rank() == 4 && weight1.shape() == Shape{O, 3, 3, x_in.dim(3)} &&
            bias1.shape() == Shape{O} && weight2.shape() == Shape{1, 1, 1, O} &&
            bias2.shape() == Shape{1},
        "depth_head: x ", x_in.shape(), ", weights ", weight1.shape(), " and ", weight2.shape(),
        ", biases ", bias1.shape(), " and ", bias2.shape(), " do not fit together");
  check(H >= 1 && W >= 1, "depth_head: the size must be at least 1 x 1, got ", H, " x ", W);
  check_same_type("depth_head", x_in, weight1, bias1, weight2, bias2);
  check(!needs_grad(x_in) && !needs_grad(weight1) && !needs_grad(bias1) && !needs_grad(weight2) &&
            !needs_grad(bias2),
        "depth_head: has no gradient; use conv2d under gradients");
  if (x_in.dtype() == DType::f16 && x_in.device() == kCpu)
    return depth_head(in_f32(x_in), H, W, in_f32(weight1), in_f32(bias1), in_f32(weight2),
                      in_f32(bias2), activation, scale)
        .to(DType::f16);
  const Tensor x = x_in.contiguous();
  Tensor y = empty({x.dim(0), H, W}, x.options());
  bool done = false;
  visit_stream(x.device(), [&](auto stream) {
    done = kernels::depth_head_forward(stream, x, weight1, bias1, weight2, bias2, activation, scale,
                                       y);
  });
  if (done) return y;
  const Tensor hidden =
      conv2d(x, weight1, bias1, {.pad = 1, .relu = true, .upsample_h = H, .upsample_w = W});
  y = conv2d(hidden, weight2, bias2).view({x.dim(0), H, W});
  return fathom::scale(activation == HeadActivation::relu ? relu(y) : sigmoid(y), scale);
}

Tensor pack_conv2d(const Tensor& weight, int64_t stride, int64_t pad) {
  check(weight.rank() == 4, "pack_conv2d: weight must be [O, kh, kw, I], got ", weight.shape());
  if (weight.dtype() == DType::f16 || weight.layout() == Layout::packed || weight.dim(0) == 1 ||
      weight.device() != kCpu)
    return weight;
  const Path path = path_of(weight.shape(), stride, pad);
  const int64_t O = weight.dim(0), I = weight.dim(3), K = weight.dim(1) * weight.dim(2) * I;
  return visit_gemm(weight.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    const Tensor dense = weight.detach().contiguous();
    const int64_t size =
        path == Path::direct ? cpu::packed_conv_size<S>(O, I) : cpu::packed_size<S>(K, O);
    const auto storage = Storage::allocate(size * int64_t(sizeof(S)), weight.device());
    S* packed = reinterpret_cast<S*>(storage->data());
    if (path == Path::direct)
      cpu::pack_conv(stored(dense.data<T>()), O, I, ConvUse::forward, packed);
    else
      cpu::pack(stored(dense.data<T>()), K, true, K, O, packed);
    return Tensor::over(storage, weight.shape(), contiguous_strides(weight.shape()), 0,
                        weight.dtype(), Layout::packed);
  });
}

// ---- CPU

static Tensor make_columns(const Im2col& shape, const Tensor& x) {
  Tensor columns = empty({shape.rows(), shape.columns()}, x.options());
  kernels::im2col(CpuStream{}, shape, x, columns);
  return columns;
}

static Tensor relu_of(CpuStream stream, const Tensor& x) {
  Tensor y = empty_like(x);
  kernels::relu_forward(stream, x, y);
  return y;
}

void kernels::conv2d_forward(CpuStream stream, const Tensor& x, const Tensor& weight,
                             const Tensor& bias, const Conv2dOptions& o, Tensor& y) {
  const Path path = path_of(weight.shape(), o.stride, o.pad);
  const int64_t O = weight.dim(0);
  visit_gemm(x.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    const cpu::Epilogue<S> epilogue{.bias = stored(data_or_null<T>(bias)),
                                    .activation = o.relu ? Activation::relu : Activation::none,
                                    .residual = stored(data_or_null<T>(o.residual)),
                                    .residual2 = stored(data_or_null<T>(o.residual2))};
    if (path == Path::direct) {
      cpu::conv3x3<S>({.x = {.map = stored(x.data<T>()),
                             .height = x.dim(1),
                             .width = x.dim(2),
                             .channels = x.dim(3),
                             .relu = o.relu_input},
                       .weight = packed_weight<T>(weight, path),
                       .y = stored(y.data<T>()),
                       .B = y.dim(0),
                       .H = y.dim(1),
                       .W = y.dim(2),
                       .OC = O,
                       .epilogue = epilogue,
                       .head = {}});
      return;
    }
    const Tensor in = o.relu_input ? relu_of(stream, x) : x;
    const Tensor rows = path == Path::product
                            ? in
                            : make_columns(columns_of(x, weight.shape(), o.stride, o.pad), in);
    const int64_t K = weight.dim(1) * weight.dim(2) * weight.dim(3);
    cpu::gemm<S>({.a = stored(rows.data<T>()),
                  .a_stride = K,
                  .b = packed_weight<T>(weight, path),
                  .c = stored(y.data<T>()),
                  .c_stride = O,
                  .M = y.numel() / O,
                  .N = O,
                  .K = K,
                  .epilogue = epilogue});
  });
}

bool kernels::depth_head_forward(CpuStream, const Tensor& x, const Tensor& weight1,
                                 const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                                 HeadActivation activation, double scale, Tensor& y) {
  visit_gemm(x.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    cpu::conv3x3<S>({.x = {.map = stored(x.data<T>()),
                           .height = x.dim(1),
                           .width = x.dim(2),
                           .channels = x.dim(3)},
                     .weight = packed_weight<T>(weight1, Path::direct),
                     .y = nullptr,
                     .B = x.dim(0),
                     .H = y.dim(1),
                     .W = y.dim(2),
                     .OC = weight1.dim(0),
                     .epilogue = {.bias = stored(bias1.data<T>()), .activation = Activation::relu},
                     .head = {.weight = stored(weight2.data<T>()),
                              .bias = stored(bias2.data<T>()),
                              .activation = activation,
                              .scale = scale,
                              .y = stored(y.data<T>())}});
  });
  return true;
}

void kernels::conv2d_input_gradient(CpuStream stream, const Im2col& shape, const Tensor& dy,
                                    const Tensor& weight, const Tensor& x, bool relu_input,
                                    Tensor& dx) {
  Tensor whole = relu_input ? empty_like(dx) : dx;
  if (shape.is_product()) {
    linear_input_gradient(stream, dy, weight, whole);
  } else {
    Tensor columns = empty({shape.rows(), shape.columns()}, dy.options());
    linear_input_gradient(stream, dy, weight, columns);
    col2im(stream, shape, columns, whole);
  }
  if (relu_input) relu_backward(stream, x, whole, dx);
}

void kernels::conv2d_weight_gradient(CpuStream stream, const Im2col& shape, const Tensor& dy,
                                     const Tensor& x, bool relu_input, Tensor& dweight) {
  const Tensor in = relu_input ? relu_of(stream, x) : x;
  linear_weight_gradient(stream, dy, shape.is_product() ? in : make_columns(shape, in), dweight);
}

}  // namespace fathom
