#include "train/optimizer.h"

#include <cmath>
#include <limits>
#include <map>

#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "tests/kernels/drawn.h"
#include "tests/kernels/sweeps.h"
#include "tests/models/tiny_model.h"
#include "tests/train/optimizer_values.h"
#include "train/schedule.h"

namespace fathom {

namespace {

// Two tensors, one of them of the encoder.
struct Pair {
  Tensor encoder, decoder;
  static void parts(auto& self, auto&& visit) {
    visit("pretrained.weight", self.encoder);
    visit("head.bias", self.decoder);
  }
};

Pair make_pair(DType dtype = DType::f64) {
  Pair pair{drawn(1, {3, 5}, -0.5, dtype), drawn(2, {7}, -0.5, dtype)};
  require_grad(pair);
  return pair;
}

// A loss whose gradient is what is asked for: sum of w * gradient.
Tensor loss_with(const Tensor& weight, const Tensor& gradient) {
  return sum(mul(weight, gradient));
}

void descend(Optimizer& optimizer, const Tensor& loss) {
  backward(loss);
  optimizer.accumulate(loss);
}

// Gradients of a step: g for the encoder, h for the decoder.
Tensor loss_of(const Pair& pair, const Tensor& g, const Tensor& h) {
  return add(loss_with(pair.encoder, g), loss_with(pair.decoder, h));
}

std::map<std::string, Tensor> saved(const Optimizer& optimizer) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, tensor] : optimizer.state()) tensors[name] = tensor.detach().clone();
  return tensors;
}

Verdict same_state(const Optimizer& a, const Optimizer& b) {
  const std::vector<NamedTensor> of_a = a.state(), of_b = b.state();
  if (of_a.size() != of_b.size()) return {false, "other number of tensors"};
  for (size_t i = 0; i < of_a.size(); ++i) {
    const Verdict verdict = same_bits(of_a[i].tensor, of_b[i].tensor);
    if (of_a[i].name != of_b[i].name || !verdict.good)
      return {false, of_a[i].name + ": " + verdict.reason};
  }
  return {};
}

}  // namespace

TEST_CASE("optimizer: seven steps are those of torch.optim.AdamW, with clipping") {
  const DType dtype = GENERATE(DType::f64, DType::f32);
  CAPTURE(dtype);
  Pair pair = make_pair(dtype);
  Optimizer optimizer({.lr = 1e-2, .decoder_factor = 10, .clip_norm = 1.45});
  optimizer.add(pair);
  const Schedule schedule{.steps = 7};
  int clipped = 0;
  for (uint32_t step = 0; step < 7; ++step) {
    const Tensor g = drawn(10 + step, {3, 5}, -0.5, dtype);
    const Tensor h = affine(drawn(20 + step, {7}, 0, dtype), (step + 1) / 4.0, -0.5);
    descend(optimizer, loss_of(pair, g, h));
    const StepReport report = optimizer.step(lr_factor(schedule, step));
    CHECK(report.outcome == StepOutcome::taken);
    // Exact gradients, summed in double.
    CHECK(report.gradient_norm == Approx(torch_values::kNorms[step]).epsilon(1e-14));
    clipped += report.clip_factor < 1;
  }
  // Clipped at some steps and not at others, or the case would show nothing.
  CHECK(clipped > 0);
  CHECK(clipped < 7);
  CHECK(optimizer.counts().clipped == clipped);
  CHECK(optimizer.counts().taken == 7);
  // Seven steps of about ten roundings of values below 1, m / sqrt(v) of order 1 times 0.1.
  const Tolerance tolerance{.absolute = 16 * epsilon(dtype), .relative = 16 * epsilon(dtype)};
  CHECK(close(pair.encoder, torch_values::kEncoder, tolerance));
  CHECK(close(pair.decoder, torch_values::kDecoder, tolerance));
  auto state = saved(optimizer);
  CHECK(close(state["m.pretrained.weight"], torch_values::kEncoderM, tolerance));
  CHECK(close(state["v.pretrained.weight"], torch_values::kEncoderV, tolerance));
}

TEST_CASE("optimizer: micro-batches average to the gradient of the batch") {
  const bool bf16 = GENERATE(false, true);
  CAPTURE(bf16);
  Pair whole = make_pair(DType::f32), split = make_pair(DType::f32);
  Optimizer a({.bf16 = bf16}), b({.bf16 = bf16});
  a.add(whole);
  b.add(split);
  // Multiples of 2^-6 below 1: exact in bf16, and so are their halves and sums in f32.
  const DType dtype = bf16 ? DType::bf16 : DType::f32;
  const auto eighths = [&](uint32_t seed, const Shape& shape) {
    std::vector<double> v = drawn(seed, shape.numel());
    for (double& x : v) x = std::floor(64 * x) / 64;
    return from_values(shape, v, {dtype});
  };
  const Tensor g1 = eighths(1, {3, 5}), g2 = eighths(2, {3, 5}), h = eighths(3, {7});
  descend(b, loss_of(split, g1, h));
  descend(b, loss_of(split, g2, h));
  descend(a, loss_of(whole, scale(add(g1.to(DType::f32), g2.to(DType::f32)), 0.5).to(dtype), h));
  const StepReport ra = a.step(1), rb = b.step(1);
  // The mean may not be a bf16; 1 / 2 ulp of it is 2^-8.
  CHECK(ra.gradient_norm == Approx(rb.gradient_norm).epsilon(bf16 ? 0x1p-8 : 1e-15));
  if (!bf16) CHECK(same_state(a, b));
}

TEST_CASE("optimizer: bf16 sums micro-batches in f32") {
  Pair pair = make_pair(DType::f32);
  Optimizer optimizer({.bf16 = true});
  optimizer.add(pair);
  // 1 + 256 * 2^-8 is 1 in a bf16 sum, where each addend is half an ulp and ties go to even.
  const auto constant = [](double g) {
    return std::pair{full({3, 5}, g, {DType::bf16}), full({7}, 0, {DType::bf16})};
  };
  const auto [one, zero] = constant(1);
  descend(optimizer, loss_of(pair, one, zero));
  const auto [small, zero2] = constant(0x1p-8);
  for (int i = 0; i < 256; ++i) descend(optimizer, loss_of(pair, small, zero2));
  CHECK(optimizer.step(1).gradient_norm == Approx(2.0 / 257 * std::sqrt(15.0)).epsilon(1e-12));
}

TEST_CASE("optimizer: bf16 parameters are the rounded weights and keep small steps") {
  Pair pair = make_pair(DType::f32);
  const std::vector<double> start = values(pair.encoder);
  Optimizer optimizer({.lr = 1e-5, .weight_decay = 0, .bf16 = true});
  optimizer.add(pair);
  CHECK(pair.encoder.dtype() == DType::bf16);
  CHECK(pair.encoder.requires_grad());
  const Tensor g = full({3, 5}, 1, {DType::bf16}), h = full({7}, 1, {DType::bf16});
  for (int step = 0; step < 100; ++step) {
    descend(optimizer, loss_of(pair, g, h));
    optimizer.step(1);
  }
  auto state = saved(optimizer);
  // A constant gradient moves by lr a step; each is far below half an ulp of a bf16 near 0.3.
  std::vector<double> expected = start;
  for (double& w : expected) w -= 100 * 1e-5;
  CHECK(
      close(state["weight.pretrained.weight"], expected, {.absolute = 100 * epsilon(DType::f32)}));
  CHECK(same_bits(pair.encoder, state["weight.pretrained.weight"].to(DType::bf16)));
}

TEST_CASE("optimizer: decay rules and groups") {
  const DecayRule rule = GENERATE(DecayRule::all, DecayRule::weights);
  Pair pair = make_pair();
  const std::vector<double> encoder = values(pair.encoder), decoder = values(pair.decoder);
  Optimizer optimizer({.lr = 0.01, .decoder_factor = 5, .weight_decay = 0.5, .decay = rule});
  optimizer.add(pair);
  descend(optimizer, loss_of(pair, zeros({3, 5}, {DType::f64}), zeros({7}, {DType::f64})));
  optimizer.step(1);
  std::vector<double> expected = encoder;
  for (double& w : expected) w *= 1 - 0.01 * 0.5;
  CHECK(close(pair.encoder, expected, {.relative = 1e-15}));
  expected = decoder;
  if (rule == DecayRule::all)
    for (double& w : expected) w *= 1 - 0.05 * 0.5;
  CHECK(close(pair.decoder, expected, {.relative = 1e-15}));
}

TEST_CASE("optimizer: no gradient, no change, no decay") {
  Pair pair = make_pair();
  const std::vector<double> decoder = values(pair.decoder);
  Optimizer optimizer({.weight_decay = 0.5});
  optimizer.add(pair);
  descend(optimizer, loss_with(pair.encoder, drawn(3, {3, 5}, 0)));
  optimizer.step(1);
  CHECK(values(pair.decoder) == decoder);
}

TEST_CASE("optimizer: frozen parameters are not taken") {
  Pair pair = make_pair();
  pair.encoder.set_requires_grad(false);
  Optimizer optimizer({});
  optimizer.add(pair);
  for (const auto& [name, tensor] : optimizer.state())
    CHECK(name.find("pretrained") == std::string::npos);
}

TEST_CASE("optimizer: what is not finite is skipped and counted") {
  const bool bf16 = GENERATE(false, true);
  Pair pair = make_pair(DType::f32);
  Optimizer optimizer({.average_decay = 0.9, .bf16 = bf16});
  optimizer.add(pair);
  const DType dtype = bf16 ? DType::bf16 : DType::f32;
  const Tensor g = drawn(3, {3, 5}, 0, dtype), h = drawn(4, {7}, 0, dtype);
  descend(optimizer, loss_of(pair, g, h));
  optimizer.step(1);
  auto before = saved(optimizer);
  const Tensor model = pair.encoder.detach().clone();

  std::vector<double> bad = values(h);
  bad[6] = GENERATE(std::numeric_limits<double>::quiet_NaN(), INFINITY);
  // The loss is finite, the gradient is not: the value is multiplied by an exact 0 afterwards.
  backward(loss_of(pair, g, from_values({7}, bad, {dtype})));
  optimizer.accumulate(full({}, 1));
  StepReport report = optimizer.step(1);
  CHECK(report.outcome == StepOutcome::non_finite_gradient);
  descend(optimizer, loss_of(pair, g, h));
  optimizer.accumulate(full({}, bad[6]));
  report = optimizer.step(1);
  CHECK(report.outcome == StepOutcome::non_finite_loss);

  CHECK(optimizer.counts().taken == 1);
  CHECK(optimizer.counts().non_finite_gradients == 1);
  CHECK(optimizer.counts().non_finite_losses == 1);
  CHECK(same_bits(pair.encoder, model));
  for (const auto& [name, tensor] : optimizer.state())
    if (!name.starts_with("optimizer.")) CHECK(same_bits(tensor, before[name]));
  // And goes on as if nothing had been.
  descend(optimizer, loss_of(pair, g, h));
  CHECK(optimizer.step(1).outcome == StepOutcome::taken);
}

TEST_CASE("optimizer: outliers are skipped and counted") {
  Pair pair = make_pair();
  Optimizer optimizer(
      {.loss_outlier = {.factor = 4, .after = 3}, .gradient_outlier = {.factor = 4, .after = 3}});
  optimizer.add(pair);
  const Tensor g = drawn(3, {3, 5}, 0), h = drawn(4, {7}, 0);
  const auto step = [&](double loss, double gradient) {
    backward(scale(loss_of(pair, g, h), gradient));
    optimizer.accumulate(full({}, loss));
    return optimizer.step(1).outcome;
  };
  for (int i = 0; i < 3; ++i) CHECK(step(1, 1) == StepOutcome::taken);
  const std::vector<double> weight = values(pair.encoder);
  CHECK(step(5, 1) == StepOutcome::loss_outlier);
  CHECK(step(1, 5) == StepOutcome::gradient_outlier);
  CHECK(values(pair.encoder) == weight);
  CHECK(step(2, 2) == StepOutcome::taken);
  CHECK(optimizer.counts().loss_outliers == 1);
  CHECK(optimizer.counts().gradient_outliers == 1);
  CHECK(optimizer.counts().taken == 4);
}

TEST_CASE("optimizer: the moving average follows the weights") {
  Pair pair = make_pair();
  Optimizer optimizer({.lr = 0.1, .average_decay = 0.3});
  optimizer.add(pair);
  std::vector<double> expected = values(pair.encoder);
  for (int t = 1; t <= 5; ++t) {
    descend(optimizer, loss_of(pair, drawn(uint32_t(t), {3, 5}, -0.5), drawn(9, {7}, 0)));
    optimizer.step(1);
    const double decay = std::min(0.3, (1.0 + t) / (10.0 + t));
    const std::vector<double> weight = values(pair.encoder);
    for (size_t i = 0; i < weight.size(); ++i)
      expected[i] = decay * expected[i] + (1 - decay) * weight[i];
  }
  CHECK(close(optimizer.average("pretrained.weight"), expected, {.absolute = 1e-15}));
  CHECK_THROWS_WITH(optimizer.average("nothing"),
                    Catch::Contains("no parameter is called nothing"));
}

TEST_CASE("optimizer: saved and loaded, it goes on bit for bit") {
  const bool bf16 = GENERATE(false, true);
  CAPTURE(bf16);
  const OptimizerOptions options{.lr = 1e-2,
                                 .clip_norm = 0.5,
                                 .average_decay = 0.9,
                                 .bf16 = bf16,
                                 .loss_outlier = {.factor = 3, .after = 2},
                                 .gradient_outlier = {.factor = 3, .after = 2}};
  const DType dtype = bf16 ? DType::bf16 : DType::f32;
  const auto train = [&](Pair& pair, Optimizer& optimizer, uint32_t from, uint32_t to) {
    for (uint32_t step = from; step < to; ++step) {
      const double size = step == 6 ? 100 : 1;  // an outlier
      backward(loss_of(pair, drawn(step, {3, 5}, 0, dtype), drawn(step + 50, {7}, 0, dtype)));
      optimizer.accumulate(full({}, size));
      optimizer.step(1);
    }
  };
  Pair straight = make_pair(DType::f32), first = make_pair(DType::f32);
  Optimizer a(options), b(options);
  a.add(straight);
  b.add(first);
  train(straight, a, 0, 10);
  train(first, b, 0, 5);
  auto state = saved(b);

  Pair second{full({3, 5}, 7), full({7}, 7)};  // whatever it was: everything is read
  require_grad(second);
  Optimizer c(options);
  c.add(second);
  c.load_state([&](const std::string& name) { return state[name]; });
  CHECK(same_bits(second.encoder, first.encoder));
  train(second, c, 5, 10);
  CHECK(same_state(a, c));
  CHECK(same_bits(second.encoder, straight.encoder));
  CHECK(a.counts().loss_outliers == 1);
  CHECK(a.counts().taken == 9);
}

TEST_CASE("optimizer: refuses a state that does not fit, and changes nothing") {
  Pair pair = make_pair();
  Optimizer optimizer({});
  optimizer.add(pair);
  auto state = saved(optimizer), good = state;
  state["v.head.bias"] = zeros({8}, {DType::f64});
  state["weight.pretrained.weight"] = zeros({3, 5}, {DType::f64});
  const auto find = [&](const std::string& name) { return state[name]; };
  CHECK_THROWS_WITH(optimizer.load_state(find), Catch::Contains("v.head.bias must be f64 [7]") &&
                                                    Catch::Contains("saved as f64 [8]"));
  state.erase("v.head.bias");
  CHECK_THROWS_WITH(optimizer.load_state(find), Catch::Contains("lacks v.head.bias"));
  CHECK(same_bits(pair.encoder, good["weight.pretrained.weight"]));
}

TEST_CASE("optimizer: says what is wrong") {
  Pair pair = make_pair();
  Optimizer optimizer({});
  optimizer.add(pair);
  CHECK_THROWS_WITH(optimizer.step(1), Catch::Contains("without accumulate()"));
  CHECK_THROWS_WITH(optimizer.add(pair), Catch::Contains("two parameters are called"));
  CHECK_THROWS_WITH(optimizer.accumulate(full({2}, 1)), Catch::Contains("one number"));
  descend(optimizer, loss_with(pair.encoder, drawn(3, {3, 5}, 0)));
  CHECK_THROWS_WITH(optimizer.state(), Catch::Contains("save between steps"));
  Pair half{full({2}, 1, {DType::bf16}), {}};
  require_grad(half);
  Optimizer other({});
  CHECK_THROWS_WITH(other.add(half), Catch::Contains("option bf16"));
}

TEST_CASE("optimizer: a tiny model learns in f32 and in bf16, with equal bits for any threads") {
  const bool bf16 = GENERATE(false, true);
  CAPTURE(bf16);
  const DType dtype = bf16 ? DType::bf16 : DType::f32;
  const Tensor image = hash_input(28, 28).to(dtype);
  std::vector<double> ramp;
  for (int i = 0; i < 28 * 28; ++i) ramp.push_back(1 + (i % 28) / 28.0);
  const Tensor target = from_values({1, 28, 28}, ramp);
  double first = 0, last = 0;
  const auto run = [&] {
    DepthAnything model = tiny_model();
    require_grad(model);
    Optimizer optimizer({.lr = 3e-4, .clip_norm = 1, .bf16 = bf16});
    optimizer.add(model);
    for (int step = 0; step < 12; ++step) {
      const Tensor difference = sub(model(image).to(DType::f32), target);
      const Tensor loss = mean(mul(difference, difference));
      descend(optimizer, loss);
      last = optimizer.step(1).loss;
      if (step == 0) first = last;
    }
    return std::vector<Tensor>{model.depth_head.scratch.output_conv1.weight,
                               model.pretrained.blocks[0].attn.qkv.weight};
  };
  CHECK(same_bits_with_any_threads(run));
  CAPTURE(first, last);
  CHECK(last < first / 2);
}

}  // namespace fathom
