#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/image.h"
#include "train/config.h"
#include "train/data/resize.h"

namespace fathom {

/// What every random choice about a sample depends on, and nothing else.
struct SampleId {
  uint64_t seed = 0;
  int64_t epoch = 0, sample = 0;
};

/// Shorter side to `side` by the reference's lower bound rule (multiples of 14, aspect kept), a
/// crop of side x side at a uniform place, mirrored with probability augment.flip. Source: training
/// as in Yang et al., "Depth Anything" (2024), appendix; DepthAnything/ Depth-Anything-V2,
/// metric_depth/dataset/transform.py.
CropWindow draw_window(ImageSize photo, int64_t side, const AugmentSection& augment,
                       const SampleId& id);

/// The colour changes of one unlabeled image, in their order.
struct Perturbation {
  bool jitter = false;
  std::array<int, 4> order{0, 1, 2, 3};  // of brightness, contrast, saturation, hue
  float brightness = 1, contrast = 1, saturation = 1, hue = 0;
  bool grey = false;
  float blur_sigma = 0;  // 0: none
};

/// torchvision's ColorJitter, RandomGrayscale and a Gaussian blur, each with its probability.
/// Source: LiheYoung/UniMatch, dataset/semi.py; torchvision.transforms.ColorJitter.
Perturbation draw_perturbation(const AugmentSection& augment, const SampleId& id);

/// Applies it in place to [height, width, 3], values limited to 0..1 first.
void perturb(const Perturbation& perturbation, std::span<float> rgb, int64_t height, int64_t width);

/// (value - mean) / deviation of ImageNet, in place, RGB in 0..1. The last step.
void normalize(std::span<float> rgb);

}  // namespace fathom
