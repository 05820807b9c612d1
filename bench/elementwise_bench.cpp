#include "kernels/elementwise.h"

#include "bench/bench.h"

namespace fathom::bench {

// On the finest map of the decoder, [B, 4h, 4w, F]; `inputs` maps of it.
static void on_map(Run& run, int inputs, double backward_maps,
                   const std::function<Tensor(const Tensors&)>& op) {
  for (const Setting& s : run.images()) {
    const Shape map{s.batch, s.level_h(0), s.level_w(0), s.model.head.features};
    const double values = double(map.numel());
    run({.size = s.size(),
         .inputs = std::vector<Shape>(size_t(inputs), map),
         .op = op,
         .forward = {.values = (inputs + 1) * values},
         .backward = {.values = backward_maps * values}});
  }
}

// The gradients of a sum are dy itself: there is nothing to compute or to measure.
static void add_bench(Run& run) {
  on_map(run, 2, 0, [](const Tensors& in) { return add(in[0], in[1]); });
}
static const Entry add_entry{"add", add_bench};

static void sub_bench(Run& run) {
  on_map(run, 2, 2, [](const Tensors& in) { return sub(in[0], in[1]); });
}
static const Entry sub_entry{"sub", sub_bench};

static void mul_bench(Run& run) {
  on_map(run, 2, 5, [](const Tensors& in) { return mul(in[0], in[1]); });
}
static const Entry mul_entry{"mul", mul_bench};

static void scale_bench(Run& run) {
  on_map(run, 1, 2, [](const Tensors& in) { return scale(in[0], 0.3); });
}
static const Entry scale_entry{"scale", scale_bench};

static void relu_bench(Run& run) {
  on_map(run, 1, 3, [](const Tensors& in) { return relu(in[0]); });
}
static const Entry relu_entry{"relu", relu_bench};

static void sigmoid_bench(Run& run) {
  on_map(run, 1, 3, [](const Tensors& in) { return sigmoid(in[0]); });
}
static const Entry sigmoid_entry{"sigmoid", sigmoid_bench};

}  // namespace fathom::bench
