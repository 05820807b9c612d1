#include "kernels/trim_mask.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/select.h"
#include "kernels/masks.h"

namespace fathom {

Tensor trim_mask(const Tensor& r_in, const Tensor& mask_in, TrimRule rule, double trim) {
  check_masked("trim_mask", r_in, mask_in);
  check(trim >= 0 && trim < 1, "trim_mask: trim must be in [0, 1), but is ", trim);
  const Tensor r = r_in.detach().contiguous(), mask = mask_in.contiguous();
  Tensor kept = empty_like(mask);
  visit_stream(r.device(),
               [&](auto stream) { kernels::trim_mask(stream, r, mask, rule, trim, kept); });
  return kept;
}

// ---- CPU

namespace {

// The sizes of one image's valid residuals, NaN above all.
template <class T>
std::vector<T> sizes_of(const T* r, const bool* mask, int64_t N) {
  std::vector<T> sizes;
  sizes.reserve(size_t(N));
  for (int64_t i = 0; i < N; ++i)
    if (mask[i]) sizes.push_back(std::fabs(r[i]));
  return sizes;
}

template <class T>
bool below(T a, T b) {
  return cpu::sort_key(a) < cpu::sort_key(b);
}

template <class T>
void keep_below_quantile(const T* r, const bool* mask, int64_t N, double trim, bool* kept) {
  std::vector<T> sizes = sizes_of(r, mask, N);
  double v = 0;
  if (!sizes.empty()) {
    const double position = (1 - trim) * double(sizes.size() - 1), low = std::floor(position);
    const auto at = sizes.begin() + int64_t(low);
    std::nth_element(sizes.begin(), at, sizes.end(), below<T>);
    v = double(*at);
    // Only what has a weight may be read: the neighbour may be infinite.
    if (position > low)
      v += (position - low) * (double(*std::min_element(at + 1, sizes.end(), below<T>)) - v);
  }
  for (int64_t i = 0; i < N; ++i) kept[i] = mask[i] && !(std::fabs(double(r[i])) >= v);
}

template <class T>
void keep_smallest(const T* r, const bool* mask, int64_t N, double trim, bool* kept) {
  std::vector<T> sizes = sizes_of(r, mask, N);
  const int64_t wanted = int64_t(double(sizes.size()) * (1 - trim));
  std::fill_n(kept, N, false);
  if (wanted == 0) return;
  std::nth_element(sizes.begin(), sizes.begin() + wanted - 1, sizes.end(), below<T>);
  const T last = sizes[size_t(wanted - 1)];
  int64_t ties = wanted;  // places for residuals of size `last`
  for (int64_t i = 0; i < wanted; ++i) ties -= below(sizes[size_t(i)], last);
  for (int64_t i = 0; i < N; ++i) {
    if (!mask[i]) continue;
    const T size = std::fabs(r[i]);
    kept[i] = below(size, last) || (!below(last, size) && ties-- > 0) || std::isnan(size);
  }
}

}  // namespace

void kernels::trim_mask(CpuStream, const Tensor& r, const Tensor& mask, TrimRule rule, double trim,
                        Tensor& kept) {
  const int64_t B = r.dim(0), N = r.numel() / B;
  const bool* pm = mask.data<bool>();
  bool* pk = kept.data<bool>();
  visit_loss(r.dtype(), [&]<class T>(Tag<T>) {
    const T* pr = r.data<T>();
    const auto keep = rule == TrimRule::below_quantile ? keep_below_quantile<T> : keep_smallest<T>;
    parallel_for(B, 1, [=](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) keep(pr + b * N, pm + b * N, N, trim, pk + b * N);
    });
  });
}

}  // namespace fathom
