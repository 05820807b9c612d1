#include "kernels/masked_error.h"

#include <cmath>

#include "core/autograd.h"
#include "kernels/cpu/image_sums.h"
#include "kernels/masks.h"

namespace fathom {

using kernels::ErrorKind;

static Tensor masked_error(const char* op, const Tensor& r_in, const Tensor& mask_in,
                           const Tensor& counted, ErrorKind kind) {
  check_masked(op, r_in, mask_in);
  if (counted.defined()) check_masked(op, r_in, counted);
  const Tensor r = r_in.contiguous(), mask = mask_in.contiguous();
  const Tensor count = mask_count(counted.defined() ? counted : mask);
  Tensor loss = empty({r.dim(0)}, r.options());
  visit_stream(r.device(), [&](auto stream) {
    kernels::masked_error_forward(stream, r, mask, count, kind, loss);
  });
  return record(loss, {r_in}, [r, mask, count, kind](const Tensor& dloss) -> Grads {
    Tensor dr = empty_like(r);
    visit_stream(r.device(), [&](auto stream) {
      kernels::masked_error_backward(stream, r, mask, count, kind, dloss, dr);
    });
    return {dr};
  });
}

Tensor masked_mae(const Tensor& r, const Tensor& mask, const Tensor& counted) {
  return masked_error("masked_mae", r, mask, counted, ErrorKind::absolute);
}

Tensor masked_mse(const Tensor& r, const Tensor& mask, const Tensor& counted) {
  return masked_error("masked_mse", r, mask, counted, ErrorKind::squared);
}

// ---- CPU

void kernels::masked_error_forward(CpuStream, const Tensor& r, const Tensor& mask,
                                   const Tensor& count, ErrorKind kind, Tensor& loss) {
  const int64_t B = r.dim(0), N = r.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = count.data<int32_t>();
  visit_loss(r.dtype(), [&]<class T>(Tag<T>) {
    const T* pr = r.data<T>();
    const auto sums = cpu::image_sums<1>(B, N, [=](int64_t b, int64_t i) {
      if (!pm[b * N + i]) return std::array<double, 1>{};
      const double value = double(pr[b * N + i]);
      return std::array<double, 1>{kind == ErrorKind::absolute ? std::fabs(value) : value * value};
    });
    T* pl = loss.data<T>();
    for (int64_t b = 0; b < B; ++b) pl[b] = pc[b] > 0 ? T(sums[size_t(b)][0] / pc[b]) : T(0);
  });
}

void kernels::masked_error_backward(CpuStream, const Tensor& r, const Tensor& mask,
                                    const Tensor& count, ErrorKind kind, const Tensor& dloss,
                                    Tensor& dr) {
  const int64_t B = r.dim(0), N = r.numel() / B;
  const bool* pm = mask.data<bool>();
  const int32_t* pc = count.data<int32_t>();
  visit_loss(r.dtype(), [&]<class T>(Tag<T>) {
    const T *pr = r.data<T>(), *pdl = dloss.data<T>();
    T* pdr = dr.data<T>();
    cpu::for_each_piece(B, N, [=](int64_t b, int64_t begin, int64_t end) {
      const double d = pc[b] > 0 ? double(pdl[b]) / pc[b] : 0;
      for (int64_t i = b * N + begin; i < b * N + end; ++i) {
        const double value = double(pr[i]);
        const double slope =
            kind == ErrorKind::absolute ? double((value > 0) - (value < 0)) : 2 * value;
        pdr[i] = pm[i] ? T(d * slope) : T(0);
      }
    });
  });
}

}  // namespace fathom
