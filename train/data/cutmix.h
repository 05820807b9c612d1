#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "train/data/augment.h"

namespace fathom {

/// A rectangle of a picture; without area: no CutMix.
struct CutMixBox {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

/// With probability augment.cutmix a box of uniform area and ratio somewhere inside side x side.
/// Source: LiheYoung/UniMatch, dataset/transform.py (obtain_cutmix_box).
CutMixBox draw_cutmix_box(int64_t side, const AugmentSection& augment, const SampleId& id);

/// The regions of a batch, boolean [B, side, side]: true inside of the box of each sample.
Tensor cutmix_regions(std::span<const SampleId> ids, int64_t side, const AugmentSection& augment);

/// x [B, H, W] or [B, H, W, C] with what lies inside replaced by the next sample of the batch, of
/// the last one by the first. On the CPU, any dtype; not differentiable. Use it alike on images,
/// targets and masks.
/// Source: Yang et al., "Depth Anything" (2024), equation 5; the partner is the batch rolled by
/// one.
Tensor paste_partner(const Tensor& x, const Tensor& inside);

}  // namespace fathom
