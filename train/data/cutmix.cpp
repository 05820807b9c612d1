#include "train/data/cutmix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "train/data/draws.h"

namespace fathom {

CutMixBox draw_cutmix_box(int64_t side, const AugmentSection& augment, const SampleId& id) {
  Draws draws(id.seed, id.epoch, id.sample, Draws::Purpose::cutmix);
  if (!draws.with_probability(augment.cutmix)) return {};
  const double area = double(draws.uniform(augment.cutmix_area_min, augment.cutmix_area_max)) *
                      double(side) * double(side);
  constexpr int kTries = 10000;  // UniMatch tries for ever; its own ranges need about three
  for (int i = 0; i < kTries; ++i) {
    const double ratio = draws.uniform(augment.cutmix_ratio_min, 1 / augment.cutmix_ratio_min);
    const auto width = int64_t(std::sqrt(area / ratio)), height = int64_t(std::sqrt(area * ratio));
    const int64_t left = draws.below(side), top = draws.below(side);
    if (left + width <= side && top + height <= side) return {top, left, height, width};
  }
  const auto length = int64_t(std::sqrt(area));
  return {0, 0, length, length};
}

Tensor cutmix_regions(std::span<const SampleId> ids, int64_t side, const AugmentSection& augment) {
  Tensor inside = zeros({int64_t(ids.size()), side, side}, {DType::boolean});
  bool* data = inside.data<bool>();
  for (size_t b = 0; b < ids.size(); ++b, data += side * side) {
    const CutMixBox box = draw_cutmix_box(side, augment, ids[b]);
    for (int64_t y = box.top; y < box.top + box.height; ++y)
      std::fill_n(data + y * side + box.left, box.width, true);
  }
  return inside;
}

Tensor paste_partner(const Tensor& x_in, const Tensor& inside_in) {
  const bool map = x_in.rank() == 3 || x_in.rank() == 4;
  check(map && inside_in.shape() == Shape{x_in.dim(0), x_in.dim(1), x_in.dim(2)} &&
            inside_in.dtype() == DType::boolean && x_in.device() == kCpu,
        "paste_partner: x ", x_in.shape(), " on the CPU needs a boolean region of its first three ",
        "extents, but has ", inside_in.shape(), " of ", inside_in.dtype());
  const Tensor x = x_in.contiguous(), inside = inside_in.contiguous();
  Tensor y = x.detach().clone();
  const int64_t B = x.dim(0), pixels = x.dim(1) * x.dim(2);
  const int64_t pixel_bytes = x.bytes() / (B * pixels);
  const bool* region = inside.data<bool>();
  visit_any(x.dtype(), [&]<class T>(Tag<T>) {
    const auto* from = reinterpret_cast<const std::byte*>(x.data<T>());
    auto* to = reinterpret_cast<std::byte*>(y.data<T>());
    for (int64_t b = 0; b < B; ++b) {
      const int64_t partner = (b + 1) % B;
      for (int64_t p = 0; p < pixels; ++p)
        if (region[b * pixels + p])
          std::memcpy(to + (b * pixels + p) * pixel_bytes,
                      from + (partner * pixels + p) * pixel_bytes, size_t(pixel_bytes));
    }
  });
  return y;
}

}  // namespace fathom
