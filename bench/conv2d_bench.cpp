#include "kernels/conv2d.h"

#include "bench/bench.h"
#include "kernels/conv_transpose2d.h"

namespace fathom::bench {

static void pack_weight(Tensors& in, int64_t stride, int64_t pad) {
  in[1] = pack_conv2d(in[1], stride, pad);
}

// A convolution that keeps the size of its map: inputs x, weight, bias.
static Case same_size(const Setting& s, const char* what, int64_t H, int64_t W, int64_t in,
                      int64_t out, int64_t kernel, Conv2dOptions options = {}) {
  const int64_t B = s.batch, pixels = B * H * W, K = kernel * kernel * in;
  options.pad = kernel / 2;
  const double product = 2.0 * double(pixels) * double(K) * double(out);
  const double x = double(pixels * in), w = double(K * out), y = double(pixels * out);
  return {.size = std::string(what) + s.size(),
          .inputs = {{B, H, W, in}, {out, kernel, kernel, in}, {out}},
          .op = [options](const Tensors& t) { return conv2d(t[0], t[1], t[2], options); },
          .forward = {.flops = product, .values = x + w + y},
          .backward = {.flops = 2 * product, .values = 2 * x + 2 * w + 2 * y},
          .accuracy = {.terms = std::max(pixels, K)},
          .pack = [options](Tensors& t) { pack_weight(t, 1, options.pad); }};
}

// 1x1 from the tokens to the width of a level: the widest and the narrowest.
static void project_bench(Run& run) {
  for (const Setting& s : run.settings())
    for (const int level : {0, 3}) {
      const std::string what = "level" + std::to_string(level + 1) + "/";
      run(same_size(s, what.c_str(), s.grid_h(), s.grid_w(), s.model.encoder.channels,
                    s.model.head.out_channels[size_t(level)], 1));
    }
}
static const Entry project_entry{"conv1x1_project", project_bench};

static void resize_up_bench(Run& run) {
  for (const Setting& s : run.settings())
    for (const int level : {0, 1}) {
      const int64_t B = s.batch, H = s.grid_h(), W = s.grid_w(), stride = level == 0 ? 4 : 2;
      const int64_t C = s.model.head.out_channels[size_t(level)], pixels = B * H * W;
      const double product = 2.0 * double(pixels) * double(C) * double(C * stride * stride);
      const double x = double(pixels * C), w = double(C * C * stride * stride);
      const double y = x * double(stride * stride);
      run({.size = "stride" + std::to_string(stride) + "/" + s.size(),
           .inputs = {{B, H, W, C}, {stride, stride, C, C}, {C}},
           .op = [stride](
                     const Tensors& in) { return conv_transpose2d(in[0], in[1], in[2], stride); },
           .forward = {.flops = product, .values = x + w + y},
           .backward = {.flops = 2 * product, .values = 2 * x + 2 * w + 2 * y},
           .accuracy = {.terms = std::max(pixels * stride * stride, C * stride * stride)},
           .pack = [](Tensors& in) { in[1] = pack_conv_transpose2d(in[1]); }});
    }
}
static const Entry resize_up_entry{"conv_transpose2d", resize_up_bench};

static void resize_down_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, H = s.grid_h(), W = s.grid_w(), C = s.model.head.out_channels[3];
    const int64_t pixels = B * s.level_h(3) * s.level_w(3);
    const double product = 18.0 * double(pixels) * double(C * C);
    const double x = double(B * H * W * C), w = double(9 * C * C), y = double(pixels * C);
    run({.size = s.size(),
         .inputs = {{B, H, W, C}, {C, 3, 3, C}, {C}},
         .op =
             [](const Tensors& in) { return conv2d(in[0], in[1], in[2], {.stride = 2, .pad = 1}); },
         .forward = {.flops = product, .values = x + w + y},
         .backward = {.flops = 2 * product, .values = 2 * x + 2 * w + 2 * y},
         .accuracy = {.terms = std::max(pixels, 9 * C)},
         .pack = [](Tensors& in) { pack_weight(in, 2, 1); }});
  }
}
static const Entry resize_down_entry{"conv3x3_stride2", resize_down_bench};

// The first convolution of a level of the decoder, without a bias, where it has the most channels.
static void layer_rn_bench(Run& run) {
  for (const Setting& s : run.settings())
    for (const int level : {2, 3}) {
      const std::string what = "level" + std::to_string(level + 1) + "/";
      Case rn = same_size(s, what.c_str(), s.level_h(level), s.level_w(level),
                          s.model.head.out_channels[size_t(level)], s.model.head.features, 3);
      rn.inputs.pop_back();
      rn.op = [](const Tensors& in) { return conv2d(in[0], in[1], {}, {.pad = 1}); };
      run(rn);
    }
}
static const Entry layer_rn_entry{"conv3x3_layer_rn", layer_rn_bench};

// Square in channels on every size of map: what docs/cpu.md quotes. The last is the head's.
static void conv3x3_bench(Run& run) {
  for (const Setting& s : run.images())
    for (const int times : {1, 2, 4, 8, 14}) {
      const int64_t C = s.model.head.features / (times == 14 ? 2 : 1);
      const int64_t H = times * s.grid_h(), W = times * s.grid_w();
      const std::string what =
          std::to_string(H) + "x" + std::to_string(W) + "x" + std::to_string(C) + "/";
      Case conv = same_size(s, what.c_str(), H, W, C, C, 3, {.relu_input = true});
      conv.backward = {};
      run(conv);
    }
}
static const Entry conv3x3_entry{"conv3x3", conv3x3_bench};

// The two convolutions of a residual unit: relu before and after; the residual added.
static void rcu_bench(Run& run) {
  for (const Setting& s : run.settings())
    for (const int level : {0, 1, 2, 3}) {
      const std::string what = "level" + std::to_string(level + 1) + "/";
      const int64_t F = s.model.head.features, H = s.level_h(level), W = s.level_w(level);
      Case first =
          same_size(s, ("a/" + what).c_str(), H, W, F, F, 3, {.relu_input = true, .relu = true});
      first.backward.values += double(s.batch * H * W * F);  // the result, for its ReLU
      first.accuracy.masked = true;
      run(first);
      if (level > 0) continue;  // where the residual costs most
      Case second = same_size(s, ("b/" + what).c_str(), H, W, F, F, 3);
      second.inputs.push_back({s.batch, H, W, F});
      second.op = [](const Tensors& in) {
        return conv2d(in[0], in[1], in[2], {.pad = 1, .residual = in[3]});
      };
      second.forward.values += double(s.batch * H * W * F);
      run(second);
    }
}
static const Entry rcu_entry{"conv3x3_rcu", rcu_bench};

static void out_conv_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t F = s.model.head.features;
    run(same_size(s, "level1/", s.level_h(0), s.level_w(0), F, F, 1));
  }
}
static const Entry out_conv_entry{"conv1x1_out_conv", out_conv_bench};

// Enlarges the finest map to twice its size on the way into the convolution.
static void output_conv1_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, F = s.model.head.features, h = s.level_h(0), w = s.level_w(0);
    const int64_t H = 8 * s.grid_h(), W = 8 * s.grid_w();
    Case conv = same_size(s, "", H, W, F, F / 2, 3);
    const double enlarged = double(B * H * W * F), map = double(B * h * w * F);
    conv.inputs[0] = {B, h, w, F};
    conv.op = [H, W](const Tensors& in) {
      return conv2d(in[0], in[1], in[2], {.pad = 1, .upsample_h = H, .upsample_w = W});
    };
    conv.forward.values += map - enlarged;
    conv.backward.values += 2 * (map - enlarged);
    conv.accuracy.positions = std::max(h, w);
    run(conv);
  }
}
static const Entry output_conv1_entry{"conv3x3_output_conv1", output_conv1_bench};

// The last two convolutions with what lies around them, as one pass for inference.
static void depth_head_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, F = s.model.head.features / 2, H = s.height, W = s.width;
    const int64_t h = 8 * s.grid_h(), w = 8 * s.grid_w(), pixels = B * H * W;
    run({.size = s.size(),
         .inputs = {{B, h, w, F}, {32, 3, 3, F}, {32}, {1, 1, 1, 32}, {1}},
         .op =
             [H, W](const Tensors& in) {
               return depth_head(in[0], H, W, in[1], in[2], in[3], in[4], HeadActivation::relu);
             },
         .forward = {.flops = 2.0 * double(pixels) * double(9 * F * 32 + 32),
                     .values = double(B * h * w * F + pixels + 9 * F * 32)},
         .accuracy = {.terms = 9 * F, .positions = std::max(h, w)},
         .pack = [](Tensors& in) { pack_weight(in, 1, 1); }});
  }
}
static const Entry depth_head_entry{"depth_head", depth_head_bench};

}  // namespace fathom::bench
