#include "kernels/tokens.h"

#include "bench/bench.h"
#include "kernels/conv2d.h"
#include "kernels/patch_embed.h"
#include "kernels/position_table.h"

namespace fathom::bench {

static void patch_embed_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, C = s.model.encoder.channels, p = s.model.encoder.patch;
    const int64_t M = B * s.patches(), K = 3 * p * p;
    const double product = 2.0 * double(M) * double(K) * double(C);
    const double image = double(M * K), w = double(K * C), y = double(M * C);
    run({.size = s.size(),
         .inputs = {{B, s.height, s.width, 3}, {C, p, p, 3}, {C}},
         .op = [](const Tensors& in) { return patch_embed(in[0], in[1], in[2]); },
         .forward = {.flops = product, .values = image + w + y},
         .backward = {.flops = product, .values = image + w + y},  // dW; an image has no gradient
         .accuracy = {.terms = std::max(K, M)},
         .constants = {0},
         .pack = [p](Tensors& in) { in[1] = pack_conv2d(in[1], p, 0); }});
  }
}
static const Entry patch_embed_entry{"patch_embed", patch_embed_bench};

// From the stored 37 x 37 grid; at 518 x 518 it is used as it is, and there is nothing to measure.
static void position_table_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t M = s.model.encoder.table, C = s.model.encoder.channels;
    const int64_t h = s.grid_h(), w = s.grid_w();
    if (h == M && w == M) continue;
    const double values = double((M * M + h * w + 2) * C);
    run({.size = s.size(),
         .inputs = {{1 + M * M, C}},
         .op = [h, w](const Tensors& in) { return interpolate_positions(in[0], h, w); },
         .forward = {.values = values},
         .backward = {.values = values},
         .accuracy = {.terms = 16}});
  }
}
static const Entry position_table_entry{"position_table", position_table_bench};

static void assemble_tokens_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, P = s.patches(), C = s.model.encoder.channels;
    const double tokens = double((1 + P) * C);
    run({.size = s.size(),
         .inputs = {{B, P, C}, {C}, {1 + P, C}},
         .op = [](const Tensors& in) { return assemble_tokens(in[0], in[1], in[2]); },
         .forward = {.values = (2 * double(B) + 1) * tokens},
         .backward = {.values = (2 * double(B) + 1) * tokens},
         .accuracy = {.terms = B}});
  }
}
static const Entry assemble_tokens_entry{"assemble_tokens", assemble_tokens_bench};

// The patches of a token matrix as a tensor of their own: the narrow that feeds the decoder.
static void contiguous_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const int64_t B = s.batch, P = s.patches(), C = s.model.encoder.channels;
    // Two images at least, so that the view has gaps.
    const int64_t images = std::max<int64_t>(B, 2);
    run({.size = s.size(),
         .inputs = {{images, 1 + P, C}},
         .op = [P](const Tensors& in) { return in[0].narrow(1, 1, P).contiguous(); },
         .forward = {.values = 2.0 * double(images * P * C)}});
  }
}
static const Entry contiguous_entry{"contiguous", contiguous_bench};

}  // namespace fathom::bench
