#include "bench/bench.h"
#include "kernels/linear.h"

namespace fathom::bench {

// One layer of the transformer: M tokens, K -> N. Backward is a product for dx and one for dW.
static Case layer(const Setting& s, int64_t K, int64_t N) {
  const int64_t B = s.batch, T = s.tokens(), M = B * T;
  const double product = 2.0 * double(M) * double(K) * double(N);
  const double x = double(M * K), w = double(K * N), y = double(M * N);
  return {.size = s.size(),
          .inputs = {{B, T, K}, {N, K}, {N}},
          .op = [](const Tensors& in) { return linear(in[0], in[1], in[2]); },
          .forward = {.flops = product, .values = x + w + y},
          .backward = {.flops = 2 * product, .values = 2 * x + 2 * w + 2 * y},
          .accuracy = {.terms = std::max({K, N, M})},
          .pack = [](Tensors& in) { in[1] = pack_linear(in[1]); }};
}

static void qkv_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t C = s.model.encoder.channels;
    run(layer(s, C, 3 * C));
  }
}
static const Entry qkv_entry{"linear_qkv", qkv_bench};

static void fc1_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t C = s.model.encoder.channels, hidden = s.model.encoder.hidden;
    Case fc1 = layer(s, C, hidden);
    fc1.op = [](const Tensors& in) { return linear_gelu(in[0], in[1], in[2]); };
    fc1.backward.values += double(s.batch * s.tokens() * hidden);  // what entered the GELU
    run(fc1);
  }
}
static const Entry fc1_entry{"linear_gelu_fc1", fc1_bench};

// residual + gamma * (x W^T + b)
static Case sublayer_end(const Setting& s, int64_t K, int64_t N) {
  Case end = layer(s, K, N);
  end.inputs.push_back({N});
  end.inputs.push_back({s.batch, s.tokens(), N});
  end.op = [](const Tensors& in) { return linear_residual(in[0], in[1], in[2], in[3], in[4]); };
  end.forward.values += double(s.batch * s.tokens() * N);
  end.accuracy.roundings = 4;  // gamma W, and the usual three
  return end;
}

static void proj_bench(Run& run) {
  for (const Setting& s : run.settings())
    run(sublayer_end(s, s.model.encoder.channels, s.model.encoder.channels));
}
static const Entry proj_entry{"linear_residual_proj", proj_bench};

static void fc2_bench(Run& run) {
  for (const Setting& s : run.settings())
    run(sublayer_end(s, s.model.encoder.hidden, s.model.encoder.channels));
}
static const Entry fc2_entry{"linear_residual_fc2", fc2_bench};

}  // namespace fathom::bench
