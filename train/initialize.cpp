#include "train/initialize.h"

#include <cmath>

#include "core/autograd.h"
#include "core/random.h"

namespace fathom {
namespace {

// FNV-1a: any function of the name will do, as long as it is the same everywhere.
uint64_t stream_of(const std::string& name, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325u ^ seed * 0x9e3779b97f4a7c15u;
  for (const char c : name) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
  return hash;
}

struct Fill {
  const InitializeOptions& options;

  Tensor normal(const Tensor& t, const std::string& name, double deviation) const {
    Generator generator{stream_of(name, options.seed)};
    return fathom::normal(t.shape(), generator, 0, deviation);
  }
  Tensor uniform(const Tensor& t, const std::string& name, int64_t fan_in) const {
    Generator generator{stream_of(name, options.seed)};
    const double bound = 1 / std::sqrt(double(fan_in));
    return fathom::uniform(t.shape(), generator, -bound, bound);
  }

  void operator()(const std::string& path, Linear& m) const {
    m.weight = normal(m.weight, path + ".weight", 0.02);
    if (m.bias.defined()) m.bias = zeros(m.bias.shape());
  }
  void operator()(const std::string&, LayerNorm& m) const {
    m.weight = full(m.weight.shape(), 1);
    m.bias = zeros(m.bias.shape());
  }
  void operator()(const std::string&, LayerScale& m) const {
    m.gamma = full(m.gamma.shape(), options.layer_scale);
  }
  void operator()(const std::string& path, Conv2d& m) const {
    const int64_t fan_in = m.weight.numel() / m.weight.dim(0);  // [O, kh, kw, I]
    m.weight = uniform(m.weight, path + ".weight", fan_in);
    if (m.bias.defined()) m.bias = uniform(m.bias, path + ".bias", fan_in);
  }
  void operator()(const std::string& path, ConvTranspose2d& m) const {
    // PyTorch takes the second axis of [I, O, kh, kw] for the inputs.
    const int64_t fan_in = m.weight.numel() / m.weight.dim(3);  // [kh, kw, O, I]
    m.weight = uniform(m.weight, path + ".weight", fan_in);
    m.bias = uniform(m.bias, path + ".bias", fan_in);
  }
  void operator()(const std::string& path, Dinov2& m) const {
    const std::string prefix = path.empty() ? "" : path + ".";
    m.cls_token = normal(m.cls_token, prefix + "cls_token", 1e-6);
    m.pos_embed = normal(m.pos_embed, prefix + "pos_embed", 0.02);
    if (m.register_tokens.defined())
      m.register_tokens = normal(m.register_tokens, prefix + "register_tokens", 1e-6);
    m.mask_token = {};  // only self-supervised pre-training reads it
  }
  void operator()(const std::string&, auto&) const {}  // nothing of its own
};

}  // namespace

void initialize(Dinov2& encoder, const InitializeOptions& options) {
  const NoGrad no_grad;
  const Fill fill{options};
  for_each_module(encoder, [&](const std::string& path, auto& module) {
    fill(path.empty() ? "pretrained" : "pretrained." + path, module);
  });
}

void initialize(DepthAnything& model, const InitializeOptions& options) {
  const NoGrad no_grad;
  initialize(model.pretrained, options);
  const Fill fill{options};
  for_each_module(model.depth_head, [&](const std::string& path, auto& module) {
    fill(path.empty() ? "depth_head" : "depth_head." + path, module);
  });
  if (model.config.kind != DepthKind::relative) return;
  Tensor& bias = model.depth_head.scratch.output_conv2.conv2.bias;
  bias.data<float>()[0] += float(options.output_bias);
}

}  // namespace fathom
