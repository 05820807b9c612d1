#include "kernels/masked_statistics.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/image_sums.h"
#include "kernels/cpu/select.h"
#include "kernels/masks.h"

namespace fathom {

MaskedStatistics masked_statistics(const Tensor& x_in, const Tensor& mask_in, MedianOver over) {
  check_masked("masked_statistics", x_in, mask_in);
  const int64_t B = x_in.dim(0);
  check(x_in.numel() / B <= std::numeric_limits<int32_t>::max(), "masked_statistics: an image of ",
        x_in.numel() / B, " elements is too large for 32-bit indices");
  const Tensor x = x_in.detach().contiguous(), mask = mask_in.contiguous();
  const TensorOptions integer{DType::i32, x.device()};
  MaskedStatistics s{.median = empty({B}, x.options()),
                     .deviation = empty({B}, x.options()),
                     .index = empty({B}, integer),
                     .count = empty({B}, integer)};
  visit_stream(x.device(), [&](auto stream) {
    kernels::masked_statistics(stream, x, mask, over, s.median, s.deviation, s.index, s.count);
  });
  return s;
}

Tensor usable_images(const MaskedStatistics& prediction, const MaskedStatistics& target,
                     const UsableLimits& limits) {
  Tensor usable = full(prediction.median.shape(), 1, prediction.median.options());
  for (const MaskedStatistics* s : {&prediction, &target})
    visit_stream(usable.device(), [&](auto stream) {
      kernels::usable_images(stream, s->deviation, s->count, limits.least_count, limits.least_scale,
                             usable);
    });
  return usable;
}

Tensor usable_images(const Tensor& mask, DType dtype, int64_t least_count) {
  const Tensor count = mask_count(mask);
  const Tensor any_scale = full(count.shape(), 1, {dtype, mask.device()});
  Tensor usable = full(count.shape(), 1, any_scale.options());
  visit_stream(mask.device(), [&](auto stream) {
    kernels::usable_images(stream, any_scale, count, least_count, 0, usable);
  });
  return usable;
}

// ---- CPU

// The place of the lower median among the N values of one image, -1 without a valid one.
template <class T>
static int64_t median_index(const T* x, const bool* mask, int64_t N, MedianOver over) {
  using Key = decltype(cpu::sort_key(T()));
  const auto takes_part = [=](int64_t i) { return mask[i] || over == MedianOver::all_with_zeros; };
  const auto key_of = [=](int64_t i) { return cpu::sort_key(mask[i] ? x[i] : T(0)); };
  if (std::none_of(mask, mask + N, [](bool valid) { return valid; })) return -1;
  std::vector<Key> keys;
  keys.reserve(size_t(N));
  for (int64_t i = 0; i < N; ++i)
    if (takes_part(i)) keys.push_back(key_of(i));
  const auto middle = keys.begin() + (int64_t(keys.size()) - 1) / 2;
  std::nth_element(keys.begin(), middle, keys.end());
  for (int64_t i = 0;; ++i)
    if (takes_part(i) && key_of(i) == *middle) return i;
}

void kernels::masked_statistics(CpuStream, const Tensor& x, const Tensor& mask, MedianOver over,
                                Tensor& median, Tensor& deviation, Tensor& index, Tensor& count) {
  const int64_t B = x.dim(0), N = x.numel() / B;
  const bool* pm = mask.data<bool>();
  int32_t *pi = index.data<int32_t>(), *pc = count.data<int32_t>();
  visit_loss(x.dtype(), [&]<class T>(Tag<T>) {
    const T* px = x.data<T>();
    T *pt = median.data<T>(), *ps = deviation.data<T>();
    parallel_for(B, 1, [=](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t i = median_index(px + b * N, pm + b * N, N, over), at = b * N + i;
        pi[b] = int32_t(i);
        pt[b] = i >= 0 && pm[at] ? px[at] : T(0);
      }
    });
    const auto sums = cpu::image_sums<2>(B, N, [=](int64_t b, int64_t i) {
      const int64_t at = b * N + i;
      if (!pm[at]) return std::array<double, 2>{};
      return std::array<double, 2>{std::fabs(double(px[at]) - double(pt[b])), 1};
    });
    for (int64_t b = 0; b < B; ++b) {
      const auto& [distance, n] = sums[size_t(b)];
      pc[b] = int32_t(n);
      ps[b] = n == 0 ? T(0) : T(distance / n);
    }
  });
}

void kernels::usable_images(CpuStream, const Tensor& deviation, const Tensor& count,
                            int64_t least_count, double least_scale, Tensor& usable) {
  const int32_t* pc = count.data<int32_t>();
  visit_loss(usable.dtype(), [&]<class T>(Tag<T>) {
    const T* ps = deviation.data<T>();
    T* py = usable.data<T>();
    for (int64_t b = 0; b < usable.numel(); ++b)
      if (pc[b] == 0 || pc[b] < least_count || double(ps[b]) < least_scale) py[b] = 0;
  });
}

}  // namespace fathom
