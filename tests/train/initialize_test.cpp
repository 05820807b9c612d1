#include "train/initialize.h"

#include <cmath>

#include "tests/models/tiny_model.h"
#include "tests/testing.h"

namespace fathom {

static DepthAnything initialized(uint64_t seed, DepthKind kind = DepthKind::relative) {
  DepthAnything model(tiny_model(kind).config);
  initialize(model, {.seed = seed});
  return model;
}

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

static Moments moments(const Tensor& x) {
  Moments m;
  const std::vector<double> v = values(x);
  for (const double value : v) {
    m.mean += value / double(v.size());
    m.largest = std::max(m.largest, std::abs(value));
  }
  for (const double value : v)
    m.deviation += (value - m.mean) * (value - m.mean) / double(v.size());
  m.deviation = std::sqrt(m.deviation);
  return m;
}

TEST_CASE("initialize: the laws of DINOv2 and of PyTorch's convolutions") {
  const DepthAnything model = initialized(5);
  // n draws estimate a deviation within 1 / sqrt(2 n) of it, and a mean within one / sqrt(n); five
  // times that never fails by chance.
  const auto normal = [](const Tensor& x, double deviation) {
    const double n = double(x.numel());
    const Moments m = moments(x);
    CHECK(std::abs(m.mean) < 5 * deviation / std::sqrt(n));
    CHECK(std::abs(m.deviation / deviation - 1) < 5 / std::sqrt(2 * n));
  };
  const auto uniform = [](const Tensor& x, double fan_in) {
    const double bound = 1 / std::sqrt(fan_in), n = double(x.numel());
    const Moments m = moments(x);
    CHECK(m.largest <= bound);
    CHECK(std::abs(m.mean) < 5 * bound / std::sqrt(3 * n));
    CHECK(std::abs(m.deviation * std::sqrt(3) / bound - 1) < 5 / std::sqrt(2 * n));
  };
  const Block& block = model.pretrained.blocks[1];
  normal(block.attn.qkv.weight, 0.02);
  normal(std::get<Mlp>(block.mlp).fc1.weight, 0.02);
  normal(model.pretrained.pos_embed, 0.02);
  normal(model.pretrained.cls_token, 1e-6);
  CHECK(moments(block.attn.qkv.bias).largest == 0);
  CHECK(values(block.norm1.weight) == std::vector<double>(64, 1));
  CHECK(values(block.ls1.gamma) == std::vector<double>(64, double(1e-5f)));
  uniform(model.pretrained.patch_embed.proj.weight, 14 * 14 * 3);
  uniform(model.depth_head.scratch.layer1_rn.weight, 9 * 16);
  uniform(model.depth_head.resize_layers.up4.weight, 16 * 16);
  CHECK(!model.pretrained.mask_token.defined());
}

TEST_CASE("initialize: a pure function of the seed and the name") {
  DepthAnything a = initialized(5), b = initialized(5), c = initialized(6);
  std::vector<Tensor> of_a, of_b, of_c;
  const auto collect = [](DepthAnything& model, std::vector<Tensor>& out) {
    for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) { out.push_back(t); });
  };
  collect(a, of_a), collect(b, of_b), collect(c, of_c);
  for (size_t i = 0; i < of_a.size(); ++i) CHECK(same_bits(of_a[i], of_b[i]));
  CHECK(!same_bits(a.pretrained.blocks[0].attn.qkv.weight, c.pretrained.blocks[0].attn.qkv.weight));
  CHECK(!same_bits(a.pretrained.blocks[0].attn.qkv.weight, a.pretrained.blocks[1].attn.qkv.weight));
  Dinov2 alone(a.config.encoder);
  initialize(alone, {.seed = 5});
  CHECK(same_bits(alone.blocks[2].attn.proj.weight, a.pretrained.blocks[2].attn.proj.weight));
}

TEST_CASE("initialize: no value is left over, and the last ReLU is open for every seed") {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const NoGrad no_grad;
    const DepthAnything model = initialized(seed);
    const std::vector<double> map = values(model(hash_input(28, 42)));
    CHECK(*std::ranges::min_element(map) > 0);
    for (const double value : map) CHECK(std::isfinite(value));
  }
}

}  // namespace fathom
