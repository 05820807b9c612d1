#pragma once

#include <array>
#include <string>

#include "models/depth_kind.h"
#include "models/dinov2.h"
#include "models/dpt_head.h"

namespace fathom {

/// A Depth Anything network. V1 and V2 have the same tensors and differ in the blocks they tap.
struct DepthAnythingConfig {
  Dinov2Config encoder;
  DptConfig head;
  std::array<int, 4> taps{2, 5, 8, 11};
  DepthKind kind = DepthKind::relative;
  double max_depth_m = 1;  // metric models only: 20 indoor, 80 outdoor
  bool operator==(const DepthAnythingConfig&) const = default;
};

enum class ModelSize { S, B, L, g };

/// Published configurations. version is 1 or 2. Throws Error for V1 g, which does not exist.
/// Source: Yang et al., "Depth Anything" (2024) and "Depth Anything V2" (2024), and their code.
DepthAnythingConfig depth_anything_config(int version, ModelSize size);

/// The blocks that feed the decoder: the last four in V1, spaced ones in V2; by number of layers.
std::array<int, 4> depth_anything_taps(int version, int64_t layers);

struct DepthAnything {
  DepthAnythingConfig config;
  Dinov2 pretrained;  // the names of the checkpoints
  DptHead depth_head;

  explicit DepthAnything(const DepthAnythingConfig& config);

  /// image [B, H, W, 3], RGB, normalised with the ImageNet statistics; H and W multiples of 14.
  /// Returns [B, H, W]: see DepthKind. Throws Error on other shapes.
  Tensor operator()(const Tensor& image, DptTrace* trace = nullptr) const;

  static void parts(auto& self, auto&& visit) {
    visit("pretrained", self.pretrained);
    visit("depth_head", self.depth_head);
  }
};

/// The type that a network predicts in: "f32", "bf16" or "f16"; "auto" is what it runs fastest in
/// without visible loss, f32 on the CPU and f16 on a GPU. Throws Error for another word.
DType inference_dtype(const std::string& name, Device device);

/// Converts every parameter, moves it to the device and, on the CPU, rearranges weights for
/// repeated inference without gradients. The originals are released one by one, so the peak is the
/// model plus its largest tensor.
void prepare_for_inference(DepthAnything& model, DType dtype, Device device = kCpu);

}  // namespace fathom
