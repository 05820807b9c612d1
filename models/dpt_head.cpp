#include "models/dpt_head.h"

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
  scratch = {conv3x3(c[0], F, false), conv3x3(c[1], F, false), conv3x3(c[2], F, false),
             conv3x3(c[3], F, false), fusion(F),               fusion(F),
             fusion(F),               fusion(F),               conv3x3(F, F / 2),
             {conv3x3(F / 2, 32), conv1x1(32, 1)}};
}

Tensor DptHead::operator()(std::span<const Tensor> maps, int64_t height, int64_t width,
                           HeadActivation activation, double max_depth_m, DptTrace* trace) const {
  check(maps.size() == 4, "dpt: expected 4 feature maps, got ", maps.size());
  const auto resize = [](const Tensor& x, const Tensor& like) {
    return interpolate_bilinear(x, like.dim(1), like.dim(2), true);
  };
  const Tensor p0 = projects[0](maps[0]);  // [B, h, w, c0]
  const Tensor r0 = resize_layers.up4(p0);  // [B, 4h, 4w, c0]
  const Tensor l1 = scratch.layer1_rn(r0);
  const Tensor l2 = scratch.layer2_rn(resize_layers.up2(projects[1](maps[1])));
  const Tensor l3 = scratch.layer3_rn(projects[2](maps[2]));
  const Tensor r3 = resize_layers.down2(projects[3](maps[3]));  // [B, ceil(h/2), ceil(w/2), c3]
  const Tensor l4 = scratch.layer4_rn(r3);

  // Each level is resized to the size of the next finer one, which need not be its double.
  const Tensor path4 = resize(scratch.refinenet4(l4, {}), l3);
  const Tensor path3 = resize(scratch.refinenet3(l3, path4), l2);
  const Tensor path2 = resize(scratch.refinenet2(l2, path3), l1);
  const Tensor fused1 = scratch.refinenet1(l1, path2);  // [B, 4h, 4w, F]
  const Tensor out1 = scratch.output_conv1(
      fused1, {.upsample_h = 2 * fused1.dim(1), .upsample_w = 2 * fused1.dim(2)});  // [B, 8h, 8w, F/2]
  if (trace)
    *trace = {p0, r0, r3, l4, path4, path3, path2,
              interpolate_bilinear(fused1, 2 * fused1.dim(1), 2 * fused1.dim(2), true), out1};

  const Conv2d &conv0 = scratch.output_conv2.conv0, &conv2 = scratch.output_conv2.conv2;
  if (!grad_enabled() && conv0.weight.dim(0) == 32)
    return depth_head(out1, height, width, conv0.weight, conv0.bias, conv2.weight, conv2.bias,
                      activation, max_depth_m);
  const Tensor hidden = conv0(out1, {.relu = true, .upsample_h = height, .upsample_w = width});
  const Tensor y = conv2(hidden).view({hidden.dim(0), height, width});
  return activation == HeadActivation::relu ? relu(y) : scale(sigmoid(y), max_depth_m);
}

}  // namespace fathom
