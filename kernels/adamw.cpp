#include "kernels/adamw.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/adamw_kernels.h"
#include "kernels/step_decision.h"

namespace fathom {

static void check_slot(const AdamwSlot& slot) {
  const DType dtype = slot.weight.dtype();
  check(dtype == DType::f32 || dtype == DType::f64, "adamw: weights must be f32 or f64, but are ",
        dtype, "; give a bf16 copy as `rounded`");
  for (const Tensor* t :
       {&slot.grad, &slot.weight, &slot.m, &slot.v, &slot.average, &slot.rounded}) {
    if (!t->defined()) continue;
    check(t->shape() == slot.weight.shape() && t->is_contiguous(),
          "adamw: every tensor of a slot must be contiguous ", slot.weight.shape(), ", but one is ",
          t->shape());
    check(t == &slot.rounded || t->dtype() == dtype, "adamw: the weight is ", dtype,
          ", its gradient or state ", t->dtype());
  }
  if (slot.rounded.defined())
    check(slot.rounded.dtype() == DType::bf16, "adamw: the rounded copy must be bf16, but is ",
          slot.rounded.dtype());
}

AdamwNumbers adamw_numbers(const AdamwStep& s) {
  return adamw_numbers(double(s.step), s.beta1, s.beta2, 1, s.grad_scale, s.average_decay);
}

void adamw(std::span<AdamwSlot> slots, const AdamwStep& step) {
  if (slots.empty()) return;
  check(step.step >= 1, "adamw: steps count from 1, not ", step.step);
  for (const AdamwSlot& slot : slots) check_slot(slot);
  const Tensor& numbers = step.numbers;
  check(!numbers.defined() ||
            (numbers.shape() == Shape{kAdamwSize} && numbers.is_contiguous() &&
             numbers.dtype() == DType::f64 && numbers.device() == slots[0].weight.device()),
        "adamw: the numbers of a step must be f64 ", Shape{kAdamwSize}, " on ",
        slots[0].weight.device());
  visit_stream(slots[0].weight.device(), [&](auto stream) { kernels::adamw(stream, step, slots); });
}

Tensor sum_of_squares(std::span<const Tensor> tensors) {
  const Device device = tensors.empty() ? kCpu : tensors[0].device();
  Tensor y = empty({}, {DType::f64, device});
  std::vector<Tensor> contiguous;
  for (const Tensor& t : tensors) contiguous.push_back(t.detach().contiguous());
  visit_stream(device, [&](auto stream) { kernels::sum_of_squares(stream, contiguous, y); });
  return y;
}

// ---- CPU

namespace {

// Elements of a piece: the six arrays of one stay in an L2 cache.
constexpr int64_t kPiece = 1 << 14;

struct Piece {
  size_t tensor;
  int64_t begin, end;
};

// Many tensors as one list of pieces, so that small ones do not wait for large ones.
std::vector<Piece> cut(size_t tensors, auto&& numel_of) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors; ++i)
    for (int64_t begin = 0, n = numel_of(i); begin < n; begin += kPiece)
      pieces.push_back({i, begin, std::min(begin + kPiece, n)});
  return pieces;
}

template <class T>
const cpu::AdamwLoops<T>& loops() {
  if constexpr (std::same_as<T, double>) return cpu::adamw().f64;
  if constexpr (std::same_as<T, float>) return cpu::adamw().f32;
}

void visit_real(DType dtype, auto&& f) {
  if (dtype == DType::f64) return f(Tag<double>{});
  check(dtype == DType::f32, "adamw: expected f32 or f64, got ", dtype);
  f(Tag<float>{});
}

template <class T>
cpu::AdamwFactors<T> factors(const AdamwSlot& slot, const AdamwStep& s, const AdamwNumbers& n) {
  const double lr = slot.lr * n.lr_factor;
  return {.keep = T(1 - lr * slot.decay),
          .grad_scale = T(n.grad_scale),
          .m_rate = T(1 - s.beta1),
          .v_keep = T(s.beta2),
          .v_rate = T(1 - s.beta2),
          .rate = T(lr / n.bias),
          .root = T(n.root),
          .eps = T(s.eps),
          .average_rate = T(n.average_rate)};
}

template <class T>
void update(AdamwSlot& slot, const AdamwStep& step, const AdamwNumbers& numbers, int64_t begin,
            int64_t end) {
  T* const weight = slot.weight.data<T>();
  T* const average = slot.average.defined() ? slot.average.data<T>() + begin : nullptr;
  const T* const grad = std::as_const(slot.grad).data<T>();
  loops<T>().update(factors<T>(slot, step, numbers), grad + begin, weight + begin,
                    slot.m.data<T>() + begin, slot.v.data<T>() + begin, average, end - begin);
  if (!slot.rounded.defined()) return;
  bfloat16* const rounded = slot.rounded.data<bfloat16>();
  for (int64_t i = begin; i < end; ++i) rounded[i] = cast<bfloat16>(weight[i]);
}

}  // namespace

void kernels::adamw(CpuStream, const AdamwStep& step, std::span<AdamwSlot> slots) {
  AdamwNumbers numbers = adamw_numbers(step);
  if (step.numbers.defined())
    std::memcpy(static_cast<void*>(&numbers), std::as_const(step.numbers).data<double>(),
                sizeof numbers);
  if (numbers.taken == 0) return;
  const auto pieces = cut(slots.size(), [&](size_t i) { return slots[i].weight.numel(); });
  parallel_for(int64_t(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const Piece piece = pieces[size_t(p)];
      AdamwSlot& slot = slots[piece.tensor];
      visit_real(slot.weight.dtype(),
                 [&]<class T>(Tag<T>) { update<T>(slot, step, numbers, piece.begin, piece.end); });
    }
  });
}

void kernels::sum_of_squares(CpuStream, std::span<const Tensor> tensors, Tensor& y) {
  const auto pieces = cut(tensors.size(), [&](size_t i) { return tensors[i].numel(); });
  std::vector<double> sums(pieces.size());
  parallel_for(int64_t(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const auto [i, begin, end] = pieces[size_t(p)];
      visit_real(tensors[i].dtype(), [&, begin = begin, end = end, i = i]<class T>(Tag<T>) {
        sums[size_t(p)] = loops<T>().squares(tensors[i].data<T>() + begin, end - begin);
      });
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *y.data<double>() = total;
}

}  // namespace fathom
