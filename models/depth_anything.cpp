#include "models/depth_anything.h"

#include "core/autograd.h"

namespace fathom {

std::array<int, 4> depth_anything_taps(int version, int64_t layers) {
  const int L = int(layers);
  check(version == 1 || version == 2, "depth anything: version must be 1 or 2, got ", version);
  check(layers >= 4, "depth anything: the decoder taps 4 blocks, but the encoder has ", layers);
  if (version == 1) return {L - 4, L - 3, L - 2, L - 1};
  if (layers == 24) return {4, 11, 17, 23};
  return {L / 4 - 1, L / 2 - 1, 3 * L / 4 - 1, L - 1};  // 2 5 8 11, and 9 19 29 39 for g
}

DepthAnythingConfig depth_anything_config(int version, ModelSize size) {
  DepthAnythingConfig config;
  switch (size) {
    case ModelSize::S: config = {.encoder = kVitS14, .head = kDptS}; break;
    case ModelSize::B: config = {.encoder = kVitB14, .head = kDptB}; break;
    case ModelSize::L: config = {.encoder = kVitL14, .head = kDptL}; break;
    case ModelSize::g:
      check(version != 1, "depth anything: V1 has no giant model; its sizes are S, B and L");
      config = {.encoder = kVitG14, .head = kDptG};
      break;
  }
  config.taps = depth_anything_taps(version, config.encoder.layers);
  return config;
}

DepthAnything::DepthAnything(const DepthAnythingConfig& config)
    : config(config),
      pretrained(config.encoder),
      depth_head(config.encoder.channels, config.head) {}

Tensor DepthAnything::operator()(const Tensor& image, DptTrace* trace) const {
  std::vector<Tensor> maps = call("pretrained", pretrained, image, config.taps);
  const bool metric = config.kind == DepthKind::metric;
  return call("depth_head", depth_head, std::move(maps), image.dim(1), image.dim(2),
              metric ? HeadActivation::sigmoid : HeadActivation::relu,
              metric ? config.max_depth_m : 1, trace);
}

DType inference_dtype(const std::string& name, Device device) {
  if (name == "auto") return device == kCpu ? DType::f32 : DType::f16;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name == name_of(dtype)) return dtype;
  fail("dtype ", name, ": expected auto, f32, bf16 or f16");
}

void prepare_for_inference(DepthAnything& model, DType dtype, Device device) {
  const NoGrad no_grad;
  for_each_parameter(model, [&](const std::string&, Tensor& t, AxisOrder) {
    t = t.detach().to(dtype).to(device);
  });
  for_each_module(model, [&](const std::string&, auto& module) {
    if constexpr (requires { module.pack(); }) module.pack();
  });
}

}  // namespace fathom
