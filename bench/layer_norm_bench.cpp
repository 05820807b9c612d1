#include "bench/bench.h"
#include "kernels/layer_norm.h"

namespace fathom::bench {

static void layer_norm_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, T = s.tokens(), C = s.model.encoder.channels;
    const double tokens = double(B * T * C);
    run({.size = s.size(),
         .inputs = {{B, T, C}, {C}, {C}},
         .op = [](const Tensors& in) { return layer_norm(in[0], in[1], in[2]); },
         .forward = {.values = 2 * tokens},
         .backward = {.values = 3 * tokens},
         .accuracy = {.terms = B * T}});
  }
}
static const Entry entry{"layer_norm", layer_norm_bench};

}  // namespace fathom::bench
