#include "kernels/bilinear.h"

#include "bench/bench.h"

namespace fathom::bench {

// The paths of the decoder from each level to the next finer one, with aligned corners.
static void bilinear_bench(Run& run) {
  for (const Setting& s : run.settings())
    for (const int level : {3, 2, 1}) {
      const int64_t B = s.batch, F = s.model.head.features;
      const int64_t h = s.level_h(level), w = s.level_w(level);
      const int64_t H = s.level_h(level - 1), W = s.level_w(level - 1);
      const double values = double(B * (h * w + H * W) * F);
      run({.size = "level" + std::to_string(level + 1) + "/" + s.size(),
           .inputs = {{B, h, w, F}},
           .op = [H, W](const Tensors& in) { return interpolate_bilinear(in[0], H, W, true); },
           .forward = {.values = values},
           .backward = {.values = values},
           .accuracy = {.terms = 16, .positions = std::max(h, w)}});
    }
}
static const Entry entry{"bilinear", bilinear_bench};

// A depth map enlarged to the size of a photo.
static void depth_map_bench(Run& run) {
  for (const Setting& s : run.images()) {
    const int64_t B = s.batch, H = 1080, W = 1920;
    const double values = double(B * (s.height * s.width + H * W));
    run({.size = "1080x1920/" + s.size(),
         .inputs = {{B, s.height, s.width, 1}},
         .op = [](const Tensors& in) { return interpolate_bilinear(in[0], H, W, true); },
         .forward = {.values = values},
         .accuracy = {.terms = 4, .positions = std::max(s.height, s.width)}});
  }
}
static const Entry depth_map_entry{"bilinear_depth_map", depth_map_bench};

}  // namespace fathom::bench
