#include "models/dinov2.h"

#include "kernels/patch_embed.h"
#include "kernels/swiglu.h"
#include "kernels/tokens.h"

namespace fathom {

static std::variant<Mlp, SwigluFfn> make_ffn(const Dinov2Config& config) {
  const int64_t C = config.channels, H = config.hidden;
  if (config.swiglu) return SwigluFfn{Linear(C, 2 * H), Linear(H, C)};
  return Mlp{Linear(C, H), Linear(H, C)};
}

Block::Block(const Dinov2Config& config)
    : norm1(config.channels),
      attn{Linear(config.channels, 3 * config.channels), Linear(config.channels, config.channels),
           config.heads},
      ls1{empty({config.channels})},
      norm2(config.channels),
      mlp(make_ffn(config)),
      ls2{empty({config.channels})} {}

Tensor Block::operator()(const Tensor& x) const { return feed_forward(attend(x)); }

Tensor Block::attend(const Tensor& x) const {
  const profile::Layer layer("attn");
  const Tensor heads = attention(attn.qkv(norm1(x)), attn.heads);  // [B, T, C]
  return linear_residual(heads, attn.proj.weight, attn.proj.bias, ls1.gamma, x);
}

Tensor Block::feed_forward(const Tensor& x) const {
  const profile::Layer layer("mlp");
  const Tensor normed = norm2(x);
  if (const Mlp* ffn = std::get_if<Mlp>(&mlp)) {
    const Tensor hidden = linear_gelu(normed, ffn->fc1.weight, ffn->fc1.bias);  // [B, T, hidden]
    return linear_residual(hidden, ffn->fc2.weight, ffn->fc2.bias, ls2.gamma, x);
  }
  const SwigluFfn& ffn = std::get<SwigluFfn>(mlp);
  return linear_residual(swiglu(ffn.w12(normed)), ffn.w3.weight, ffn.w3.bias, ls2.gamma, x);
}

Dinov2::Dinov2(const Dinov2Config& config)
    : config(config),
      cls_token(empty({1, 1, config.channels})),
      pos_embed(empty({1, 1 + config.table * config.table, config.channels})),
      mask_token(empty({1, config.channels})),
      patch_embed{Conv2d(3, config.channels,
                         {.kernel = int(config.patch), .stride = int(config.patch), .pad = 0})},
      norm(config.channels) {
  check(config.channels % config.heads == 0, "dinov2: ", config.channels,
        " channels do not divide into ", config.heads, " heads");
  if (config.registers > 0) register_tokens = empty({1, config.registers, config.channels});
  for (int64_t i = 0; i < config.layers; ++i) blocks.emplace_back(config);
}

Tensor Dinov2::tokens(const Tensor& image) const {
  check(image.rank() == 4 && image.dim(3) == 3, "dinov2: image must be [B, H, W, 3], got ",
        image.shape());
  const int64_t H = image.dim(1), W = image.dim(2), C = config.channels;
  check(H % config.patch == 0 && W % config.patch == 0, "dinov2: ", H, " x ", W,
        " is not a multiple of the patch size ", config.patch, " on both sides");
  const profile::Layer layer("tokens");
  const Tensor patches =
      fathom::patch_embed(image, patch_embed.proj.weight, patch_embed.proj.bias);  // [B, P, C]
  const Tensor table = pos_embed.view({pos_embed.dim(1), C});
  const Tensor positions = interpolate_positions(table, H / config.patch, W / config.patch,
                                                 config.positions);  // [1 + P, C]
  const Tensor registers =
      register_tokens.defined() ? register_tokens.view({config.registers, C}) : Tensor();
  return assemble_tokens(patches, cls_token.view({C}), positions, registers);
}

std::vector<Tensor> Dinov2::operator()(const Tensor& image, std::span<const int> taps) const {
  const int64_t B = image.dim(0), H = image.dim(1) / config.patch, W = image.dim(2) / config.patch;
  const int64_t lead = 1 + config.registers, C = config.channels;
  std::vector<Tensor> maps;
  Tensor x = tokens(image);  // [B, lead + H W, C]
  for (int i = 0; i < int(blocks.size()) && maps.size() < taps.size(); ++i) {
    {
      const profile::Layer layer("blocks", i);
      x = blocks[size_t(i)](x);
    }
    if (taps[maps.size()] != i) continue;
    const profile::Layer layer("norm");
    maps.push_back(norm(x, lead).view({B, H, W, C}));
  }
  check(maps.size() == taps.size(), "dinov2: taps must be ascending block numbers below ",
        blocks.size());
  return maps;
}

}  // namespace fathom
