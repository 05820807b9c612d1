#include "kernels/masks.h"

#include "kernels/cpu/image_sums.h"

namespace fathom {

void check_masked(const char* op, const Tensor& x, const Tensor& mask) {
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, op,
        ": losses are computed in f32 or f64, got ", x.dtype(), "; convert with to()");
  check(x.rank() >= 1, op, ": expected [B, ...], got a scalar");
  check(mask.dtype() == DType::boolean && mask.shape() == x.shape(), op,
        ": the mask must be boolean ", x.shape(), ", but is ", mask.dtype(), " ", mask.shape());
  check(mask.device() == x.device(), op, ": the mask is on ", mask.device(), ", the values on ",
        x.device(), "; move it with to()");
}

static void check_masks(const char* op, const Tensor& a, const Tensor& b) {
  check(a.dtype() == DType::boolean && b.dtype() == DType::boolean && a.shape() == b.shape(), op,
        ": masks must be boolean and of one shape, but are ", a.dtype(), " ", a.shape(), " and ",
        b.dtype(), " ", b.shape());
  check_same_type(op, a, b);
}

static void check_mask(const char* op, const Tensor& mask) {
  check(mask.dtype() == DType::boolean && mask.rank() >= 1, op,
        ": the mask must be boolean [B, ...], but is ", mask.dtype(), " ", mask.shape());
}

Tensor mask_and(const Tensor& a_in, const Tensor& b_in) {
  check_masks("mask_and", a_in, b_in);
  const Tensor a = a_in.contiguous(), b = b_in.contiguous();
  Tensor y = empty_like(a);
  visit_stream(a.device(), [&](auto stream) { kernels::mask_and(stream, a, b, y); });
  return y;
}

Tensor mask_and_not(const Tensor& a_in, const Tensor& b_in) {
  check_masks("mask_and_not", a_in, b_in);
  const Tensor a = a_in.contiguous(), b = b_in.contiguous();
  Tensor y = empty_like(a);
  visit_stream(a.device(), [&](auto stream) { kernels::mask_and_not(stream, a, b, y); });
  return y;
}

Tensor mask_images(const Tensor& mask_in, const Tensor& keep_in) {
  check_mask("mask_images", mask_in);
  check(keep_in.shape() == Shape{mask_in.dim(0)}, "mask_images: keep must be [", mask_in.dim(0),
        "], one number an image of the mask ", mask_in.shape(), ", but is ", keep_in.shape());
  const Tensor mask = mask_in.contiguous(), keep = keep_in.contiguous();
  Tensor y = empty_like(mask);
  visit_stream(mask.device(), [&](auto stream) { kernels::mask_images(stream, mask, keep, y); });
  return y;
}

Tensor mask_count(const Tensor& mask_in) {
  check_mask("mask_count", mask_in);
  const Tensor mask = mask_in.contiguous();
  Tensor count = empty({mask.dim(0)}, {DType::i32, mask.device()});
  visit_stream(mask.device(), [&](auto stream) { kernels::mask_count(stream, mask, count); });
  return count;
}

Tensor mask_fraction(const Tensor& mask_in, DType dtype) {
  check_mask("mask_fraction", mask_in);
  const Tensor mask = mask_in.contiguous();
  Tensor y = empty({mask.dim(0)}, {dtype, mask.device()});
  visit_stream(mask.device(), [&](auto stream) { kernels::mask_fraction(stream, mask, y); });
  return y;
}

// ---- CPU

static void combine(const Tensor& a, const Tensor& b, Tensor& y, auto f) {
  const bool *pa = a.data<bool>(), *pb = b.data<bool>();
  bool* py = y.data<bool>();
  parallel_for(a.numel(), 1 << 16, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) py[i] = f(pa[i], pb[i]);
  });
}

void kernels::mask_and(CpuStream, const Tensor& a, const Tensor& b, Tensor& y) {
  combine(a, b, y, [](bool a, bool b) { return a && b; });
}

void kernels::mask_and_not(CpuStream, const Tensor& a, const Tensor& b, Tensor& y) {
  combine(a, b, y, [](bool a, bool b) { return a && !b; });
}

void kernels::mask_images(CpuStream, const Tensor& mask, const Tensor& keep, Tensor& y) {
  const int64_t B = mask.dim(0), N = mask.numel() / B;
  const bool* pm = mask.data<bool>();
  bool* py = y.data<bool>();
  visit_loss(keep.dtype(), [&]<class T>(Tag<T>) {
    const T* pk = keep.data<T>();
    cpu::for_each_piece(B, N, [=](int64_t b, int64_t begin, int64_t end) {
      const bool kept = pk[b] != 0;
      for (int64_t i = b * N + begin; i < b * N + end; ++i) py[i] = kept && pm[i];
    });
  });
}

static std::vector<std::array<double, 1>> count_true(const Tensor& mask) {
  const int64_t B = mask.dim(0), N = mask.numel() / B;
  const bool* pm = mask.data<bool>();
  return cpu::image_sums<1>(
      B, N, [=](int64_t b, int64_t i) { return std::array<double, 1>{pm[b * N + i] ? 1.0 : 0.0}; });
}

void kernels::mask_count(CpuStream, const Tensor& mask, Tensor& count) {
  int32_t* pc = count.data<int32_t>();
  for (const auto& [n] : count_true(mask)) *pc++ = int32_t(n);
}

void kernels::mask_fraction(CpuStream, const Tensor& mask, Tensor& y) {
  const double N = double(mask.numel() / mask.dim(0));
  visit_loss(y.dtype(), [&]<class T>(Tag<T>) {
    T* py = y.data<T>();
    for (const auto& [n] : count_true(mask)) *py++ = T(n / N);
  });
}

}  // namespace fathom
