#include "kernels/linear.h"

#include "core/autograd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/stored.h"
#include "kernels/gelu.h"
#include "kernels/visit_gemm.h"

namespace fathom {
namespace {

using cpu::Activation, cpu::stored, cpu::stored_t;

// gamma and residual: for their gradients only.
void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const Tensor& gamma = {}, const Tensor& residual = {}) {
  check(x.rank() >= 1 && weight.rank() == 2, op, ": expected x [..., K] and weight [N, K], got ",
        x.shape(), " and ", weight.shape());
  check(weight.dim(1) == x.dim(-1), op, ": weight ", weight.shape(), " does not fit x ", x.shape(),
        ": the last axes must agree; do weights and config describe the same model?");
  if (bias.defined())
    check(bias.shape() == Shape{weight.dim(0)}, op, ": bias must be [", weight.dim(0), "], but is ",
          bias.shape());
  check_same_type(op, x, weight, bias);
  const bool needed = needs_grad(x) || needs_grad(weight) || needs_grad(bias) ||
                      needs_grad(gamma) || needs_grad(residual);
  check(weight.layout() == Layout::strided || !needed, op,
        ": packed weights have no gradients, for any argument; use NoGrad or unpack_linear");
}

Shape with_last(const Tensor& x, int64_t last) {
  Shape shape = x.shape();
  shape[shape.rank() - 1] = last;
  return shape;
}

// The weight as gemm() reads it: packed already, or packed into this thread's scratch.
template <class T>
const stored_t<T>* packed_weight(const Tensor& weight) {
  if (weight.layout() == Layout::packed)
    return reinterpret_cast<const stored_t<T>*>(weight.storage()->data());
  const int64_t N = weight.dim(0), K = weight.dim(1);
  auto* packed =
      cpu::scratch<stored_t<T>>(cpu::Scratch::weights, cpu::packed_size<stored_t<T>>(K, N));
  const Tensor dense = weight.detach().contiguous();
  cpu::pack(stored(dense.data<T>()), K, true, K, N, packed);
  return packed;
}

struct Extras {
  Activation activation = Activation::none;
  Tensor gamma, residual;
};

// y = extras(x W^T + b); pre_activation receives the sums when it is defined.
void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Extras& extras,
             Tensor& y, Tensor& pre_activation) {
  const int64_t N = weight.dim(0), K = weight.dim(1), M = x.numel() / K;
  visit_gemm(x.dtype(), [&]<class T>(Tag<T>) {
    cpu::gemm<stored_t<T>>(
        {.a = stored(x.data<T>()),
         .a_stride = K,
         .b = packed_weight<T>(weight),
         .c = stored(y.data<T>()),
         .c_stride = N,
         .M = M,
         .N = N,
         .K = K,
         .epilogue = {.bias = stored(data_or_null<T>(bias)),
                      .pre_activation =
                          pre_activation.defined() ? stored(pre_activation.data<T>()) : nullptr,
                      .activation = extras.activation,
                      .gamma = stored(data_or_null<T>(extras.gamma)),
                      .residual = stored(data_or_null<T>(extras.residual))}});
  });
}

// The type in which gradients of weights are summed.
TensorOptions sums_of(const Tensor& x) {
  return {x.dtype() == DType::f64 ? DType::f64 : DType::f32, x.device()};
}

Tensor input_gradient(const Tensor& dy, const Tensor& weight, const Shape& shape) {
  Tensor dx = empty(shape, dy.options());
  visit_stream(dy.device(),
               [&](auto stream) { kernels::linear_input_gradient(stream, dy, weight, dx); });
  return dx;
}

Tensor weight_gradient(const Tensor& dy, const Tensor& x) {
  Tensor dw = empty({dy.dim(-1), x.dim(-1)}, sums_of(dy));
  visit_stream(dy.device(),
               [&](auto stream) { kernels::linear_weight_gradient(stream, dy, x, dw); });
  return dw;
}

Tensor bias_gradient(const Tensor& dy) {
  Tensor db = empty({dy.dim(-1)}, sums_of(dy));
  visit_stream(dy.device(), [&](auto stream) { kernels::bias_gradient(stream, dy, db); });
  return db;
}

// The gradients of x W^T + b.
Grads plain_gradients(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      bool need_x, bool need_w) {
  Tensor dx, dw, db;
  if (need_x) dx = input_gradient(dy, weight, x.shape());
  if (need_w) dw = weight_gradient(dy, x).to(dy.dtype());
  if (bias.defined()) db = bias_gradient(dy).to(dy.dtype());
  return {dx, dw, db};
}

// f16 has no products of its own on the CPU.
bool goes_through_f32(const Tensor& x) { return x.dtype() == DType::f16 && x.device() == kCpu; }

}  // namespace

Tensor linear(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in) {
  check_linear("linear", x_in, weight_in, bias_in);
  if (goes_through_f32(x_in))
    return linear(in_f32(x_in), in_f32(weight_in), in_f32(bias_in)).to(DType::f16);
  const Tensor x = x_in.contiguous(), bias = bias_in.defined() ? bias_in.contiguous() : bias_in;
  Tensor y = empty(with_last(x, weight_in.dim(0)), x.options());
  const Tensor weight =
      weight_in.layout() == Layout::packed ? weight_in : weight_in.detach().contiguous();
  visit_stream(x.device(),
               [&](auto stream) { kernels::linear_forward(stream, x, weight, bias, y); });
  return record(
      y, {x_in, weight_in, bias_in},
      [x, weight, bias, need_x = needs_grad(x_in), need_w = needs_grad(weight_in)](
          const Tensor& dy) { return plain_gradients(dy, x, weight, bias, need_x, need_w); });
}

Tensor linear_gelu(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in) {
  check_linear("linear_gelu", x_in, weight_in, bias_in);
  if (x_in.device() != kCpu) return gelu(linear(x_in, weight_in, bias_in));
  if (x_in.dtype() == DType::f16)
    return linear_gelu(in_f32(x_in), in_f32(weight_in), in_f32(bias_in)).to(DType::f16);
  const Tensor x = x_in.contiguous(), bias = bias_in.defined() ? bias_in.contiguous() : bias_in;
  const bool needed = needs_grad(x_in) || needs_grad(weight_in) || needs_grad(bias_in);
  Tensor y = empty(with_last(x, weight_in.dim(0)), x.options());
  Tensor sums = needed ? empty_like(y) : Tensor();
  visit_stream(x.device(), [&](CpuStream) {
    forward(x, weight_in, bias, {.activation = Activation::gelu, .gamma = {}, .residual = {}}, y,
            sums);
  });
  if (!needed) return y;
  return record(y, {x_in, weight_in, bias_in},
                [x, weight = weight_in.contiguous(), bias, sums, need_x = needs_grad(x_in),
                 need_w = needs_grad(weight_in)](const Tensor& dy) {
                  Tensor dsums = empty_like(sums);
                  visit_stream(dy.device(), [&](CpuStream stream) {
                    kernels::gelu_backward(stream, sums, dy, dsums);
                  });
                  return plain_gradients(dsums, x, weight, bias, need_x, need_w);
                });
}

Tensor linear_residual(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in,
                       const Tensor& gamma_in, const Tensor& residual_in) {
  check_linear("linear_residual", x_in, weight_in, bias_in, gamma_in, residual_in);
  const int64_t N = weight_in.dim(0);
  check(residual_in.shape() == with_last(x_in, N), "linear_residual: residual must be ",
        with_last(x_in, N), ", but is ", residual_in.shape());
  if (gamma_in.defined())
    check(gamma_in.shape() == Shape{N}, "linear_residual: gamma must be [", N, "], but is ",
          gamma_in.shape());
  check_same_type("linear_residual", x_in, gamma_in, residual_in);
  if (goes_through_f32(x_in))
    return linear_residual(in_f32(x_in), in_f32(weight_in), in_f32(bias_in), in_f32(gamma_in),
                           in_f32(residual_in))
        .to(DType::f16);
  const Tensor x = x_in.contiguous(), bias = bias_in.defined() ? bias_in.contiguous() : bias_in;
  const Tensor gamma = gamma_in.defined() ? gamma_in.contiguous() : gamma_in;
  const Tensor residual = residual_in.contiguous();
  Tensor y = empty_like(residual);
  const Tensor weight =
      weight_in.layout() == Layout::packed ? weight_in : weight_in.detach().contiguous();
  visit_stream(x.device(), [&](auto stream) {
    kernels::linear_residual_forward(stream, x, weight, bias, gamma, residual, y);
  });
  return record(
      y, {x_in, weight_in, bias_in, gamma_in, residual_in},
      [x, weight, bias, gamma, need_x = needs_grad(x_in),
       need_w = needs_grad(weight_in) || needs_grad(gamma_in)](const Tensor& dy) -> Grads {
        if (!gamma.defined()) {
          Grads plain = plain_gradients(dy, x, weight, bias, need_x, need_w);
          return {plain[0], plain[1], plain[2], {}, dy};
        }
        Tensor dx, scaled = empty_like(weight);
        Tensor dweight = empty_like(weight), dgamma = empty_like(gamma);
        Tensor dbias = bias.defined() ? empty_like(bias) : Tensor();
        const Tensor dw = weight_gradient(dy, x), db = bias_gradient(dy);
        visit_stream(dy.device(), [&](auto stream) {
          if (need_x) kernels::scale_rows(stream, weight, gamma, scaled);
          kernels::unfold_gamma(stream, dw, db, weight, bias, gamma, dweight, dbias, dgamma);
        });
        if (need_x) dx = input_gradient(dy, scaled, x.shape());
        return {dx, dweight, dbias, dgamma, dy};
      });
}

Tensor pack_linear(const Tensor& weight) {
  check(weight.rank() == 2, "pack_linear: weight must be [N, K], got ", weight.shape());
  if (weight.dtype() == DType::f16 || weight.layout() == Layout::packed || weight.device() != kCpu)
    return weight;
  const int64_t N = weight.dim(0), K = weight.dim(1);
  return visit_gemm(weight.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    const Tensor dense = weight.detach().contiguous();
    const auto storage =
        Storage::allocate(cpu::packed_size<S>(K, N) * int64_t(sizeof(S)), weight.device());
    cpu::pack(stored(dense.data<T>()), K, true, K, N, reinterpret_cast<S*>(storage->data()));
    return Tensor::over(storage, weight.shape(), contiguous_strides(weight.shape()), 0,
                        weight.dtype(), Layout::packed);
  });
}

Tensor unpack_linear(const Tensor& packed) {
  if (packed.layout() != Layout::packed) return packed;
  check(packed.rank() == 2, "unpack_linear: ", packed.shape(), " is not from pack_linear");
  Tensor weight = empty(packed.shape(), packed.options());
  const int64_t N = weight.dim(0), K = weight.dim(1);
  visit_gemm(weight.dtype(), [&]<class T>(Tag<T>) {
    cpu::unpack_transposed(reinterpret_cast<const stored_t<T>*>(packed.storage()->data()), K, N,
                           stored(weight.data<T>()));
  });
  return weight;
}

// ---- CPU

void kernels::linear_forward(CpuStream, const Tensor& x, const Tensor& weight, const Tensor& bias,
                             Tensor& y) {
  Tensor none;
  forward(x, weight, bias, {}, y, none);
}

void kernels::linear_residual_forward(CpuStream, const Tensor& x, const Tensor& weight,
                                      const Tensor& bias, const Tensor& gamma,
                                      const Tensor& residual, Tensor& y) {
  Tensor none;
  forward(x, weight, bias, {.activation = Activation::none, .gamma = gamma, .residual = residual},
          y, none);
}

void kernels::linear_input_gradient(CpuStream, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const int64_t N = weight.dim(0), K = weight.numel() / N;
  visit_gemm(dy.dtype(), [&]<class T>(Tag<T>) {
    using S = stored_t<T>;
    S* packed = cpu::scratch<S>(cpu::Scratch::weights, cpu::packed_size<S>(N, K));
    cpu::pack(stored(weight.data<T>()), K, false, N, K, packed);
    cpu::gemm<S>({.a = stored(dy.data<T>()),
                  .a_stride = N,
                  .b = packed,
                  .c = stored(dx.data<T>()),
                  .c_stride = K,
                  .M = dy.numel() / N,
                  .N = K,
                  .K = N,
                  .epilogue = {}});
  });
}

void kernels::linear_weight_gradient(CpuStream, const Tensor& dy, const Tensor& x,
                                     Tensor& dweight) {
  const int64_t N = dy.dim(-1), M = dy.numel() / N, K = x.numel() / M;
  visit_gemm(dy.dtype(), [&]<class T>(Tag<T>) {
    cpu::outer_sum<stored_t<T>>({.y = stored(dy.data<T>()),
                                 .y_stride = N,
                                 .x = stored(x.data<T>()),
                                 .x_stride = K,
                                 .out = dweight.data<acc_t<T>>(),
                                 .out_stride = K,
                                 .M = M,
                                 .I = N,
                                 .J = K});
  });
}

void kernels::bias_gradient(CpuStream stream, const Tensor& dy, Tensor& dbias) {
  if (dy.dtype() == DType::f16) return bias_gradient(stream, dy.to(DType::f32), dbias);
  const int64_t N = dbias.numel();
  visit_gemm(dy.dtype(), [&]<class T>(Tag<T>) {
    cpu::column_sum(stored(dy.data<T>()), N, dy.numel() / N, N, dbias.data<acc_t<T>>());
  });
}

void kernels::scale_rows(CpuStream, const Tensor& weight, const Tensor& gamma, Tensor& scaled) {
  const int64_t N = weight.dim(0), K = weight.dim(1);
  visit_gemm(weight.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *w = weight.data<T>(), *g = gamma.data<T>();
    T* out = scaled.data<T>();
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) out[n * K + k] = cast<T>(Acc(g[n]) * Acc(w[n * K + k]));
  });
}

void kernels::unfold_gamma(CpuStream, const Tensor& dw_folded, const Tensor& db_folded,
                           const Tensor& weight, const Tensor& bias, const Tensor& gamma,
                           Tensor& dweight, Tensor& dbias, Tensor& dgamma) {
  const int64_t N = weight.dim(0), K = weight.dim(1);
  visit_gemm(weight.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *w = weight.data<T>(), *g = gamma.data<T>(), *b = data_or_null<T>(bias);
    const Acc *sums = dw_folded.data<Acc>(), *bias_sums = db_folded.data<Acc>();
    T *pdw = dweight.data<T>(), *pdg = dgamma.data<T>(), *pdb = b ? dbias.data<T>() : nullptr;
    for (int64_t n = 0; n < N; ++n) {
      double dot = b ? double(bias_sums[n]) * double(Acc(b[n])) : 0;
      for (int64_t k = 0; k < K; ++k) {
        dot += double(sums[n * K + k]) * double(Acc(w[n * K + k]));
        pdw[n * K + k] = cast<T>(Acc(g[n]) * sums[n * K + k]);
      }
      pdg[n] = cast<T>(dot);
      if (b) pdb[n] = cast<T>(Acc(g[n]) * bias_sums[n]);
    }
  });
}

}  // namespace fathom
