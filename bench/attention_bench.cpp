#include "bench/bench.h"
#include "kernels/attention.h"

namespace fathom::bench {

// Two products forward; backward five, the scores among them a second time. The softmax is not
// counted: it is not a multiplication.
static void attention_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, T = s.tokens(), C = s.model.encoder.channels;
    const int64_t heads = s.model.encoder.heads;
    const double product = 2.0 * double(B * T * T * C), tokens = double(B * T * C);
    run({.size = s.size(),
         .inputs = {{B, T, 3 * C}},
         .op = [heads](const Tensors& in) { return attention(in[0], heads); },
         .forward = {.flops = 2 * product, .values = 4 * tokens},
         .backward = {.flops = 5 * product,
                      .values = 8 * tokens,
                      .bytes = 4.0 * double(B * T * heads)},
         .accuracy = {.terms = T, .roundings = 6}});  // qk, p, y; backward p, dp, dqkv as well
  }
}
static const Entry entry{"attention", attention_bench};

}  // namespace fathom::bench
