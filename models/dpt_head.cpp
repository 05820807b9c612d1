#include "models/dpt_head.h"

#include <utility>

#include "core/autograd.h"
#include "kernels/bilinear.h"
#include "kernels/elementwise.h"

namespace fathom {

static Conv2d conv3x3(int64_t in, int64_t out, bool bias = true) {
  return Conv2d(in, out, {.kernel = 3, .stride = 1, .pad = 1, .bias = bias});
}

static Conv2d conv1x1(int64_t in, int64_t out) {
  return Conv2d(in, out, {.kernel = 1, .stride = 1, .pad = 0});
}

static FeatureFusion fusion(int64_t F) {
  return {conv1x1(F, F), {conv3x3(F, F), conv3x3(F, F)}, {conv3x3(F, F), conv3x3(F, F)}};
}

Tensor ResidualConvUnit::operator()(const Tensor& x, const Tensor& skip) const {
  const Tensor inner = conv1(x, {.relu_input = true, .relu = true});
  return conv2(inner, {.residual = x, .residual2 = skip});
}

Tensor FeatureFusion::operator()(const Tensor& lateral, const Tensor& path) const {
  // The coarsest level has no path; its resConfUnit1 exists in every checkpoint and is never run.
  const Tensor sum = path.defined() ? resConfUnit1(lateral, path) : lateral;
  return out_conv(resConfUnit2(sum));
}

DptHead::DptHead(int64_t channels, const DptConfig& config) : config(config) {
  const auto& c = config.out_channels;
  const int64_t F = config.features;
  for (const int64_t out : c) projects.push_back(conv1x1(channels, out));
  resize_layers = {ConvTranspose2d(c[0], c[0], 4), ConvTranspose2d(c[1], c[1], 2),
                   Conv2d(c[3], c[3], {.kernel = 3, .stride = 2, .pad = 1})};
  scratch = {conv3x3(c[0], F, false),
             conv3x3(c[1], F, false),
             conv3x3(c[2], F, false),
             conv3x3(c[3], F, false),
             fusion(F),
             fusion(F),
             fusion(F),
             fusion(F),
             conv3x3(F, F / 2),
             {conv3x3(F / 2, 32), conv1x1(32, 1)}};
}

Tensor DptHead::operator()(std::vector<Tensor> maps, int64_t height, int64_t width,
                           HeadActivation activation, double max_depth_m, DptTrace* trace) const {
  check(maps.size() == 4, "dpt: expected 4 feature maps, got ", maps.size());
  const int64_t h = maps[0].dim(1), w = maps[0].dim(2);
  DptTrace kept;
  const auto keep = [&](Tensor& slot, const Tensor& x) {
    if (trace) slot = x;
    return x;
  };
  // From coarse to fine, each map released when its level is done: the finest level alone decides
  // the peak. A path is resized to the size of the next finer level, which need not be its double.
  const auto reassembled = [&](size_t level) {
    const profile::Layer layer("projects", int64_t(level));
    return projects[level](std::exchange(maps[level], {}));
  };
  const auto resized = [&](const Tensor& x, int64_t times) {
    const profile::Layer layer("resize");
    return interpolate_bilinear(x, times * h, times * w, true);
  };
  const Tensor r3 = keep(kept.resize3, call("resize_layers.3", resize_layers.down2,
                                            reassembled(3)));  // [B, h/2, w/2, c3]
  Tensor path = call("refinenet4", scratch.refinenet4,
                     keep(kept.layer4_rn, call("layer4_rn", scratch.layer4_rn, r3)), Tensor());
  path = keep(kept.refinenet4, resized(path, 1));
  path = call("refinenet3", scratch.refinenet3,
              call("layer3_rn", scratch.layer3_rn, reassembled(2)), path);
  path = keep(kept.refinenet3, resized(path, 2));
  path = call("refinenet2", scratch.refinenet2,
              call("layer2_rn", scratch.layer2_rn,
                   call("resize_layers.1", resize_layers.up2, reassembled(1))),
              path);
  path = keep(kept.refinenet2, resized(path, 4));
  const Tensor r0 = keep(kept.resize0, call("resize_layers.0", resize_layers.up4,
                                            keep(kept.projects0, reassembled(0))));
  path = call("refinenet1", scratch.refinenet1, call("layer1_rn", scratch.layer1_rn, r0),
              path);  // [B, 4h, 4w, F]
  if (trace) kept.refinenet1 = resized(path, 8);
  path = call("output_conv1", scratch.output_conv1, path,
              Conv2dOptions{.upsample_h = 8 * h, .upsample_w = 8 * w});  // F/2 channels
  keep(kept.output_conv1, path);
  if (trace) *trace = kept;

  const Conv2d &conv0 = scratch.output_conv2.conv0, &conv2 = scratch.output_conv2.conv2;
  const profile::Layer layer("output_conv2");
  if (!grad_enabled())
    return depth_head(path, height, width, conv0.weight, conv0.bias, conv2.weight, conv2.bias,
                      activation, max_depth_m);
  const Tensor hidden = conv0(path, {.relu = true, .upsample_h = height, .upsample_w = width});
  const Tensor y = conv2(hidden).view({hidden.dim(0), height, width});
  return activation == HeadActivation::relu ? relu(y) : scale(sigmoid(y), max_depth_m);
}

}  // namespace fathom
