// The loops behind the products on the CPU, without the ops around them: what docs/cpu.md quotes.
#include "bench/bench.h"
#include "kernels/cpu/conv.h"
#include "kernels/visit_gemm.h"

namespace fathom::bench {

// The element type of the loops for a dtype: Bf16 is theirs, with the bits of bfloat16.
template <class T>
using Element = std::conditional_t<std::same_as<T, bfloat16>, cpu::Bf16, T>;

template <class T>
static const Element<T>* elements(const Tensor& x) {
  return reinterpret_cast<const Element<T>*>(x.data<T>());
}

// A gradient of a weight is a sum in f32, in double for double.
static DType sum_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

static void outer_sum_bench(Run& run) {
  for (const Setting& s : run.images()) {
    const int64_t C = s.model.encoder.channels, M = s.batch * s.tokens();
    const int64_t shapes[][2] = {{C, 3 * C}, {C, C}, {C, 4 * C}, {4 * C, C}};
    for (const auto& [K, N] : shapes)
      run({.size = std::to_string(K) + "->" + std::to_string(N) + "/" + s.size(),
           .inputs = {{M, N}, {M, K}},
           .op =
               [K = K, N = N, M](const Tensors& in) {
                 Tensor out = empty({N, K}, {sum_dtype(in[0].dtype())});
                 visit_gemm(in[0].dtype(), [&]<class T>(Tag<T>) {
                   cpu::outer_sum<Element<T>>({.y = elements<T>(in[0]),
                                               .y_stride = N,
                                               .x = elements<T>(in[1]),
                                               .x_stride = K,
                                               .out = out.data<acc_t<T>>(),
                                               .out_stride = K,
                                               .M = M,
                                               .I = N,
                                               .J = K});
                 });
                 return out;
               },
           .forward = {.flops = 2.0 * double(M) * double(K) * double(N),
                       .values = double(M * (K + N)),
                       .bytes = 4.0 * double(K * N)},
           .accuracy = {.terms = M},
           .cpu_only = true});
  }
}
static const Entry outer_sum_entry{"cpu_outer_sum", outer_sum_bench};

// The decoder's maps from coarse to fine; the last one is the head's, of half the width.
static void conv3x3_gradient_bench(Run& run) {
  for (const Setting& s : run.images())
    for (const int times : {1, 2, 4, 8, 14}) {
      const int64_t C = s.model.head.features / (times == 14 ? 2 : 1), B = s.batch;
      const int64_t H = times * s.grid_h(), W = times * s.grid_w(), pixels = B * H * W;
      run({.size = std::to_string(H) + "x" + std::to_string(W) + "x" + std::to_string(C) + "/" +
                   s.size(),
           .inputs = {{B, H, W, C}, {B, H, W, C}},
           .op =
               [=](const Tensors& in) {
                 Tensor out = empty({C, 3, 3, C}, {sum_dtype(in[0].dtype())});
                 visit_gemm(in[0].dtype(), [&]<class T>(Tag<T>) {
                   cpu::conv3x3_weight_gradient<Element<T>>({.x = {.map = elements<T>(in[0]),
                                                                   .height = H,
                                                                   .width = W,
                                                                   .channels = C,
                                                                   .relu = true},
                                                             .dy = elements<T>(in[1]),
                                                             .dy_mask = nullptr,
                                                             .B = B,
                                                             .H = H,
                                                             .W = W,
                                                             .OC = C,
                                                             .dweight = out.data<acc_t<T>>()});
                 });
                 return out;
               },
           .forward = {.flops = 18.0 * double(pixels) * double(C * C),
                       .values = 2.0 * double(pixels * C),
                       .bytes = 36.0 * double(C * C)},
           .accuracy = {.terms = pixels},
           .cpu_only = true});
    }
}
static const Entry conv3x3_gradient_entry{"cpu_conv3x3_weight_gradient", conv3x3_gradient_bench};

}  // namespace fathom::bench
