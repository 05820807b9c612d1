#include "kernels/tokens.h"

#include <cstring>

#include "core/autograd.h"
#include "core/parallel.h"

namespace fathom {

Tensor assemble_tokens(const Tensor& patches_in, const Tensor& cls_in, const Tensor& positions_in,
                       const Tensor& registers_in) {
  check(patches_in.rank() == 3, "assemble_tokens: patches must be [B, P, D], but are ",
        patches_in.shape());
  const int64_t B = patches_in.dim(0), P = patches_in.dim(1), D = patches_in.dim(2);
  check(cls_in.shape() == Shape{D}, "assemble_tokens: cls must be [", D, "], but is ",
        cls_in.shape());
  check(positions_in.shape() == Shape{1 + P, D}, "assemble_tokens: positions must be [", 1 + P,
        ", ", D, "], a row for the class token and for each of ", P, " patches, but are ",
        positions_in.shape());
  check(!registers_in.defined() || (registers_in.rank() == 2 && registers_in.dim(1) == D),
        "assemble_tokens: registers must be [R, ", D, "], but are ",
        registers_in.defined() ? registers_in.shape() : Shape());
  check_same_type("assemble_tokens", patches_in, cls_in, positions_in, registers_in);

  const bool with_registers = registers_in.defined();
  const int64_t R = with_registers ? registers_in.dim(0) : 0;
  const Tensor registers = with_registers ? registers_in.contiguous() : Tensor();
  Tensor y = empty({B, 1 + R + P, D}, patches_in.options());
  visit_stream(y.device(), [&](auto stream) {
    kernels::assemble_tokens_forward(stream, patches_in.contiguous(), cls_in.contiguous(),
                                     positions_in.contiguous(), registers, y);
  });
  return record(
      y, {patches_in, cls_in, positions_in, registers_in}, [B, P, D, R](const Tensor& dy) -> Grads {
        Tensor dpatches = empty({B, P, D}, dy.options()), dcls = empty({D}, dy.options()),
               dpositions = empty({1 + P, D}, dy.options()),
               dregisters = R ? empty({R, D}, dy.options()) : Tensor();
        visit_stream(dy.device(), [&](auto stream) {
          kernels::assemble_tokens_backward(stream, dy, dpatches, dcls, dpositions, dregisters);
        });
        return {dpatches, dcls, dpositions, dregisters};
      });
}

// ---- CPU: memory bound, one pass

void kernels::assemble_tokens_forward(CpuStream, const Tensor& patches, const Tensor& cls,
                                      const Tensor& positions, const Tensor& registers, Tensor& y) {
  const int64_t P = patches.dim(1), D = patches.dim(2), N = y.dim(1), R = N - 1 - P;
  visit_float(y.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T *px = patches.data<T>(), *pc = cls.data<T>(), *pp = positions.data<T>(),
            *pr = R ? registers.data<T>() : nullptr;
    T* py = y.data<T>();
    parallel_for(y.dim(0) * N, 16, [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const int64_t b = n / N, t = n % N;
        T* to = py + n * D;
        if (t >= 1 && t <= R) {
          std::memcpy(to, pr + (t - 1) * D, size_t(D) * sizeof(T));
          continue;
        }
        const T* token = t ? px + (b * P + t - 1 - R) * D : pc;
        const T* position = t ? pp + (t - R) * D : pp;
        for (int64_t d = 0; d < D; ++d) to[d] = cast<T>(Acc(token[d]) + Acc(position[d]));
      }
    });
  });
}

void kernels::assemble_tokens_backward(CpuStream, const Tensor& dy, Tensor& dpatches, Tensor& dcls,
                                       Tensor& dpositions, Tensor& dregisters) {
  const int64_t B = dy.dim(0), N = dy.dim(1), D = dy.dim(2), P = dpatches.dim(1), R = N - 1 - P;
  visit_float(dy.dtype(), [&]<class T>(Tag<T>) {
    using Acc = acc_t<T>;
    const T* pdy = dy.data<T>();
    T *pdx = dpatches.data<T>(), *pdc = dcls.data<T>(), *pdp = dpositions.data<T>(),
      *pdr = R ? dregisters.data<T>() : nullptr;
    parallel_for(N, 16, [=](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        if (t > R)
          for (int64_t b = 0; b < B; ++b)
            std::memcpy(pdx + (b * P + t - 1 - R) * D, pdy + (b * N + t) * D,
                        size_t(D) * sizeof(T));
        T* sum = t == 0 ? pdp : t <= R ? pdr + (t - 1) * D : pdp + (t - R) * D;
        for (int64_t d = 0; d < D; ++d) {
          Acc s = 0;
          for (int64_t b = 0; b < B; ++b) s += Acc(pdy[(b * N + t) * D + d]);
          sum[d] = cast<T>(s);
          if (t == 0) pdc[d] = sum[d];
        }
      }
    });
  });
}

}  // namespace fathom
