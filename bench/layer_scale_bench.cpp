#include "bench/bench.h"
#include "kernels/layer_scale.h"

namespace fathom::bench {

static void layer_scale_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, T = s.tokens(), C = s.model.encoder.channels;
    const double tokens = double(B * T * C);
    run({.size = s.size(),
         .inputs = {{B, T, C}, {C}},
         .op = [](const Tensors& in) { return layer_scale(in[0], in[1]); },
         .forward = {.values = 2 * tokens},
         .backward = {.values = 3 * tokens},  // dy and x read, dx written
         .accuracy = {.terms = B * T}});
  }
}
static const Entry entry{"layer_scale", layer_scale_bench};

}  // namespace fathom::bench
