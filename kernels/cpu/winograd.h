#pragma once

#include "kernels/cpu/conv.h"
#include "kernels/cpu/winograd_kernels.h"

namespace fathom::cpu {

// 3x3 convolutions in f32 by Winograd's transform: a quarter of the products. conv.h chooses it.

/// Elements of a transformed weight: 36 for each pair of channels, outputs rounded up to a panel.
int64_t winograd_size(int64_t OC, int64_t IC);

/// G g G^T, computed in double: [36][ceil(OC / 16)][IC][16].
void pack_winograd(const float* weight, int64_t OC, int64_t IC, ConvUse use, float* packed);

/// conv3x3 with a weight of pack_winograd. Compute bound: 4.5 OC IC FLOP a pixel and 0.9 (OC + IC)
/// for the transforms.
void conv3x3_winograd(const ConvArgs<float>& args);

/// conv3x3_weight_gradient with as few products. The chunks of tiles are cut into slices that
/// depend on the shape only; their sums are added in order.
void conv3x3_weight_gradient_winograd(const ConvGradientArgs<float>& args);

}  // namespace fathom::cpu
