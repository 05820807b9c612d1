#pragma once

#include <cstdint>

#include "models/depth_anything.h"

namespace fathom {

struct InitializeOptions {
  uint64_t seed = 0;
  double layer_scale = 1e-5;
  /// Added to the bias of the last convolution of a relative model, whose ReLU would otherwise be
  /// closed everywhere for about half of the seeds and never learn. The losses ignore shifts.
  double output_bias = 1;
};

/// Random values as DINOv2 and PyTorch draw them: weights of linear layers and positions normal
/// with deviation 0.02, their biases 0, class and register tokens normal with 1e-6; convolutions
/// uniform within 1 / sqrt(fan in), as nn.Conv2d's default. Every parameter is a pure function of
/// the seed and its name.
/// Source: facebookresearch/dinov2, vision_transformer.py, init_weights_vit_timm (its truncation at
/// -2 and 2 is a hundred deviations away); PyTorch, nn/modules/conv.py, reset_parameters.
void initialize(DepthAnything& model, const InitializeOptions& options);

/// The encoder alone, with the values that it has within a model of the same seed.
void initialize(Dinov2& encoder, const InitializeOptions& options);

}  // namespace fathom
