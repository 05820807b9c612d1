#include <algorithm>

#include "bench/bench.h"
#include "kernels/adamw.h"
#include "kernels/cosine_alignment.h"
#include "kernels/silog.h"
#include "kernels/ssi_loss.h"

namespace fathom::bench {

// Of ones, on the device that is asked for; made there once.
class EverythingMask {
 public:
  explicit EverythingMask(const Shape& shape) : mask_(full(shape, 1, {DType::boolean})) {}
  const Tensor& on(Device device) {
    if (mask_.device() != device) mask_ = mask_.to(device);
    return mask_;
  }

 private:
  Tensor mask_;
};

// Prediction and target read once, with a mask of a byte; the gradient written once: the floor of
// a kernel that keeps an image in a cache. The target is a constant.
static void on_depth_maps(Run& run, const std::string& what,
                          const std::function<Tensor(const Tensors&, const Tensor& mask)>& op) {
  for (const Setting& s : run.images()) {
    const Shape maps{s.batch, s.height, s.width};
    const auto mask = std::make_shared<EverythingMask>(maps);
    const double pixels = double(maps.numel());
    run({.size = what + s.size(),
         .inputs = {maps, maps},
         .op = [op, mask](const Tensors& in) { return op(in, mask->on(in[0].device())); },
         .forward = {.values = 2 * pixels, .bytes = pixels},
         .backward = {.values = pixels},
         .accuracy = {.terms = s.height * s.width},
         .constants = {1},
         .dtypes = {DType::f32},
         .positive = true});
  }
}

static void ssi_bench(Run& run) {
  const SsiOptions v1{};
  const SsiOptions v2{.error = SsiError::trimmed_quantile, .gradient_weight = 2};
  for (const auto& [what, options] : {std::pair{"V1/", v1}, {"V2_trimmed/", v2}})
    on_depth_maps(run, what, [options = options](const Tensors& in, const Tensor& mask) {
      return ssi_loss(in[0], in[1], mask, options).loss;
    });
}
static const Entry ssi_entry{"ssi_loss", ssi_bench};

static void silog_bench(Run& run) {
  on_depth_maps(run, "",
                [](const Tensors& in, const Tensor& mask) { return silog(in[0], in[1], mask); });
}
static const Entry silog_entry{"silog", silog_bench};

static void cosine_alignment_bench(Run& run) {
  for (const Setting& s : run.settings()) {
    const Shape tokens{s.batch, s.patches(), s.model.encoder.channels};
    const double values = double(tokens.numel());
    run({.size = s.size(),
         .inputs = {tokens, tokens},
         .op = [](const Tensors& in) { return cosine_alignment(in[0], in[1]).loss; },
         .forward = {.values = 2 * values},
         .backward = {.values = 3 * values},
         .accuracy = {.terms = tokens.numel()},
         .constants = {1},
         .dtypes = {DType::f32}});
  }
}
static const Entry cosine_alignment_entry{"cosine_alignment", cosine_alignment_bench};

// The optimiser's pass over the parameters of a model's blocks as one tensor, 16 M of them at most:
// more than any cache holds, and an f64 copy must fit the machine. The gradient and three states
// are read, the states written. It changes its inputs; the first call is the one compared.
static void adamw_bench(Run& run) {
  const Setting& s = run.settings().front();  // parameters do not depend on the input
  const auto& e = s.model.encoder;
  const int64_t parameters = e.layers * (4 * e.channels * e.channels + 2 * e.channels * e.hidden);
  const Shape block{std::min<int64_t>(parameters, 1 << 24)};
  run({.size = s.letter + "/blocks",
       .inputs = {block, block, block, block},
       .op =
           [](const Tensors& in) {
             AdamwSlot slot{in[0], in[1], in[2], in[3], {}, {}, 1e-6, 0.01};
             adamw({&slot, 1}, {.step = 10});
             return slot.weight;
           },
       .forward = {.values = 7.0 * double(block.numel())},
       .dtypes = {DType::f32},
       .positive = true,
       .changes_inputs = true});
}
static const Entry adamw_entry{"adamw", adamw_bench};

static void sum_of_squares_bench(Run& run) {
  for (const Setting& s : run.images()) {
    const Shape map{s.batch * s.height * s.width, 32};
    run({.size = s.size(),
         .inputs = {map},
         .op = [](const Tensors& in) { return sum_of_squares(in); },
         .forward = {.values = double(map.numel())},
         .accuracy = {.terms = map.numel()},
         .dtypes = {DType::f32}});
  }
}
static const Entry sum_of_squares_entry{"sum_of_squares", sum_of_squares_bench};

}  // namespace fathom::bench
