#pragma once

#include <span>
#include <variant>
#include <vector>

#include "kernels/attention.h"
#include "kernels/position_table.h"
#include "nn/conv2d.h"
#include "nn/layer_norm.h"
#include "nn/linear.h"

namespace fathom {

/// Sizes of a DINOv2 vision transformer. Source: Oquab et al., "DINOv2" (2023), table 17.
struct Dinov2Config {
  int64_t channels = 384;
  int64_t layers = 12;
  int64_t heads = 6;
  int64_t patch = 14;
  int64_t hidden = 1536;  // of the feed-forward network
  bool swiglu = false;    // the giant model; MLP with erf GELU otherwise
  int64_t registers = 0;
  int64_t table = 37;  // side of the stored position grid
  PositionRule positions = PositionRule::scale_plus_offset;
  bool operator==(const Dinov2Config&) const = default;
};

inline constexpr Dinov2Config kVitS14{};
inline constexpr Dinov2Config kVitB14{.channels = 768, .heads = 12, .hidden = 3072};
inline constexpr Dinov2Config kVitL14{.channels = 1024, .layers = 24, .heads = 16, .hidden = 4096};
inline constexpr Dinov2Config kVitG14{
    .channels = 1536, .layers = 40, .heads = 24, .hidden = 4096, .swiglu = true};

/// The same model with four register tokens (Darcet et al., 2023), whose table is resized by size
/// with antialiasing.
constexpr Dinov2Config with_registers(Dinov2Config config) {
  config.registers = 4;
  config.positions = PositionRule::antialias;
  return config;
}

struct SelfAttention {
  Linear qkv, proj;  // C -> 3C, C -> C
  int64_t heads = 1;

  static void parts(auto& self, auto&& visit) {
    visit("qkv", self.qkv);
    visit("proj", self.proj);
  }
};

struct LayerScale {
  Tensor gamma;  // [C]
  static void parts(auto& self, auto&& visit) { visit("gamma", self.gamma); }
};

struct Mlp {
  Linear fc1, fc2;  // C -> hidden -> C, erf GELU between
  static void parts(auto& self, auto&& visit) {
    visit("fc1", self.fc1);
    visit("fc2", self.fc2);
  }
};

struct SwigluFfn {
  Linear w12, w3;  // C -> 2 hidden, hidden -> C
  static void parts(auto& self, auto&& visit) {
    visit("w12", self.w12);
    visit("w3", self.w3);
  }
};

/// x + ls1 * attn(norm1(x)), then x + ls2 * mlp(norm2(x)).
struct Block {
  LayerNorm norm1;
  SelfAttention attn;
  LayerScale ls1;
  LayerNorm norm2;
  std::variant<Mlp, SwigluFfn> mlp;
  LayerScale ls2;

  explicit Block(const Dinov2Config& config);
  Tensor operator()(const Tensor& x) const;    // [B, T, C] -> [B, T, C]
  Tensor attend(const Tensor& x) const;        // the first half
  Tensor feed_forward(const Tensor& x) const;  // the second
  static void parts(auto& self, auto&& visit) {
    visit("norm1", self.norm1);
    visit("attn", self.attn);
    visit("ls1", self.ls1);
    visit("norm2", self.norm2);
    visit("mlp", self.mlp);
    visit("ls2", self.ls2);
  }
};

struct PatchEmbed {
  Conv2d proj;  // 3 -> C, kernel = stride = patch
  static void parts(auto& self, auto&& visit) { visit("proj", self.proj); }
};

/// DINOv2 encoder. The names of its parameters are those of dinov2_vit*14_pretrain.pth.
struct Dinov2 {
  Dinov2Config config;
  Tensor cls_token;        // [1, 1, C]
  Tensor pos_embed;        // [1, 1 + table^2, C]
  Tensor register_tokens;  // [1, R, C]; undefined without registers
  Tensor mask_token;       // [1, C]; only self-supervised pre-training reads it
  PatchEmbed patch_embed;
  std::vector<Block> blocks;
  LayerNorm norm;

  explicit Dinov2(const Dinov2Config& config);

  /// Tokens before the first block: class token, registers, patches.
  /// image [B, H, W, 3], normalised; H and W multiples of the patch. Returns [B, 1 + R + P, C].
  Tensor tokens(const Tensor& image) const;

  /// Patch maps after the named blocks (0-based, ascending), each passed through the final norm.
  /// Returns one [B, H / patch, W / patch, C] for every entry.
  std::vector<Tensor> operator()(const Tensor& image, std::span<const int> taps) const;

  static void parts(auto& self, auto&& visit) {
    visit("cls_token", self.cls_token);
    visit("pos_embed", self.pos_embed);
    visit("register_tokens", self.register_tokens);
    visit("mask_token", self.mask_token);
    visit("patch_embed", self.patch_embed);
    visit("blocks", self.blocks);
    visit("norm", self.norm);
  }
};

}  // namespace fathom
