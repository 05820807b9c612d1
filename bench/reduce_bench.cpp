#include "kernels/reduce.h"

#include "bench/bench.h"

namespace fathom::bench {

// Sums over a map of 32 channels at full size, such as the last of the decoder.
static void over_map(Run& run, int inputs, bool whole, std::function<Tensor(const Tensors&)> op) {
  for (const Setting& s : run.images()) {
    const Shape map{s.batch * s.height * s.width, 32};
    const double values = double(map.numel());
    run({.size = s.size(),
         .inputs = std::vector<Shape>(size_t(inputs), map),
         .op = op,
         .forward = {.values = inputs * values},
         .backward = {.values = whole ? values : 0},
         .accuracy = {.terms = map.numel() / (whole ? 1 : 32)}});
  }
}

static void sum_bench(Run& run) {
  over_map(run, 1, true, [](const Tensors& in) { return sum(in[0]); });
}
static const Entry sum_entry{"sum", sum_bench};

static void mean_bench(Run& run) {
  over_map(run, 1, true, [](const Tensors& in) { return mean(in[0]); });
}
static const Entry mean_entry{"mean", mean_bench};

static void column_sum_bench(Run& run) {
  over_map(run, 1, false, [](const Tensors& in) { return column_sum(in[0]); });
}
static const Entry column_sum_entry{"column_sum", column_sum_bench};

static void column_dot_bench(Run& run) {
  over_map(run, 2, false, [](const Tensors& in) { return column_dot(in[0], in[1]); });
}
static const Entry column_dot_entry{"column_dot", column_dot_bench};

}  // namespace fathom::bench
