#pragma once

#include <array>
#include <vector>

#include "kernels/conv2d.h"
#include "nn/conv2d.h"
#include "nn/conv_transpose2d.h"

namespace fathom {

/// Widths of the decoder of Ranftl et al., "Vision Transformers for Dense Prediction" (2021), as
/// Depth Anything sets them.
struct DptConfig {
  int64_t features = 64;
  std::array<int64_t, 4> out_channels{48, 96, 192, 384};
  bool operator==(const DptConfig&) const = default;
};

inline constexpr DptConfig kDptS{};
inline constexpr DptConfig kDptB{.features = 128, .out_channels = {96, 192, 384, 768}};
inline constexpr DptConfig kDptL{.features = 256, .out_channels = {256, 512, 1024, 1024}};
inline constexpr DptConfig kDptG{.features = 384, .out_channels = {1536, 1536, 1536, 1536}};

/// x + conv2(relu(conv1(relu(x)))), plus `skip` if given.
struct ResidualConvUnit {
  Conv2d conv1, conv2;  // F -> F
  Tensor operator()(const Tensor& x, const Tensor& skip = {}) const;
  static void parts(auto& self, auto&& visit) {
    visit("conv1", self.conv1);
    visit("conv2", self.conv2);
  }
};

/// resConfUnit2(path + resConfUnit1(lateral)), then out_conv. (The published order resizes before
/// out_conv; both are linear and bilinear weights sum to 1, so they commute, and this is a quarter
/// of the work.)
struct FeatureFusion {
  Conv2d out_conv;                              // 1 x 1
  ResidualConvUnit resConfUnit1, resConfUnit2;  // the names of the checkpoints
  Tensor operator()(const Tensor& lateral, const Tensor& path) const;
  static void parts(auto& self, auto&& visit) {
    visit("out_conv", self.out_conv);
    visit("resConfUnit1", self.resConfUnit1);
    visit("resConfUnit2", self.resConfUnit2);
  }
};

struct ResizeLayers {
  ConvTranspose2d up4, up2;  // named 0 and 1; level 2 keeps its size
  Conv2d down2;              // named 3
  static void parts(auto& self, auto&& visit) {
    visit("0", self.up4);
    visit("1", self.up2);
    visit("3", self.down2);
  }
};

struct OutputConv2 {
  Conv2d conv0, conv2;  // F/2 -> 32 -> 1; 1 and 3 are the activations
  static void parts(auto& self, auto&& visit) {
    visit("0", self.conv0);
    visit("2", self.conv2);
  }
};

struct DptScratch {
  Conv2d layer1_rn, layer2_rn, layer3_rn, layer4_rn;
  FeatureFusion refinenet1, refinenet2, refinenet3, refinenet4;
  Conv2d output_conv1;
  OutputConv2 output_conv2;
  static void parts(auto& self, auto&& visit) {
    visit("layer1_rn", self.layer1_rn);
    visit("layer2_rn", self.layer2_rn);
    visit("layer3_rn", self.layer3_rn);
    visit("layer4_rn", self.layer4_rn);
    visit("refinenet1", self.refinenet1);
    visit("refinenet2", self.refinenet2);
    visit("refinenet3", self.refinenet3);
    visit("refinenet4", self.refinenet4);
    visit("output_conv1", self.output_conv1);
    visit("output_conv2", self.output_conv2);
  }
};

/// Intermediate maps of one pass, for tests that compare layer by layer.
struct DptTrace {
  Tensor projects0, resize0, resize3, layer4_rn;
  Tensor refinenet4, refinenet3, refinenet2, refinenet1;  // after the resize
  Tensor output_conv1;
};

struct DptHead {
  DptConfig config;
  std::vector<Conv2d> projects;  // C -> out_channels[i], 1 x 1
  ResizeLayers resize_layers;
  DptScratch scratch;

  DptHead(int64_t channels, const DptConfig& config);

  /// maps: four [B, h, w, C], released as they are used (move them in). Returns [B, height, width]
  /// after the last activation, which is ReLU, or sigmoid times `max_depth_m` for metric models.
  /// height and width must be 14 h, 14 w for the published models; any size is accepted.
  Tensor operator()(std::vector<Tensor> maps, int64_t height, int64_t width,
                    HeadActivation activation, double max_depth_m, DptTrace* trace = nullptr) const;

  static void parts(auto& self, auto&& visit) {
    visit("projects", self.projects);
    visit("resize_layers", self.resize_layers);
    visit("scratch", self.scratch);
  }
};

}  // namespace fathom
