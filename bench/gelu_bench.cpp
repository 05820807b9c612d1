#include "bench/bench.h"
#include "kernels/gelu.h"
#include "kernels/swiglu.h"

namespace fathom::bench {

static void gelu_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const Shape shape{s.batch, s.tokens(), s.model.encoder.hidden};
    const double values = double(shape.numel());
    run({.size = s.size(),
         .inputs = {shape},
         .op = [](const Tensors& in) { return gelu(in[0]); },
         .forward = {.values = 2 * values},
         .backward = {.values = 3 * values}});
  }
}
static const Entry gelu_entry{"gelu", gelu_bench};

// Only the giant model has it; the shape is its own whatever the setting.
static void swiglu_bench(Run& run) {
  for (Setting s : run.images()) {
    s.letter = "g";
    const int64_t hidden = kVitG14.hidden;
    const double values = double(s.batch * s.tokens() * hidden);
    run({.size = s.size(),
         .inputs = {{s.batch, s.tokens(), 2 * hidden}},
         .op = [](const Tensors& in) { return swiglu(in[0]); },
         .forward = {.values = 3 * values},
         .backward = {.values = 5 * values}});
  }
}
static const Entry swiglu_entry{"swiglu", swiglu_bench};

}  // namespace fathom::bench
