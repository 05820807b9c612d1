#include "train/stages/step_runner.h"

#include <cmath>
#include <cstring>

#include "core/cuda.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/reduce.h"
#include "tests/testing.h"

namespace fathom {
namespace {

struct Layer {
  Tensor weight;
  static void parts(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct Setting {
  Device device = kCpu;
  bool graph = true, waits = false;
  int64_t micro_batches = 1;
};

struct Outcome {
  std::vector<double> numbers;  // of every step: outcome, loss, norm, clip factor, entries
  std::vector<double> weight, average, counts;
  bool captured = false;
  std::string notes;
};

// A linear map fitted to another, with a batch of its own and another rate in every step; the
// fifth has a value that is not finite.
Outcome fit(const Setting& setting, int steps = 7, bool ask_late = true) {
  Layer layer{random_tensor({3, 4}, {}, 2).to(setting.device)};
  require_grad(layer);
  Optimizer optimizer({.lr = 0.05, .clip_norm = 2, .average_decay = 0.5});
  optimizer.add(layer);
  Outcome outcome;
  StepRunner runner({.device = setting.device,
                     .graph = setting.graph,
                     .on_note = [&](const std::string& note) { outcome.notes += note; }},
                    optimizer);
  const StepLoss loss = [&](const std::vector<Tensor>& batch, LossReport& report) {
    const Tensor difference = sub(linear(batch[0], layer.weight, {}), batch[1]);
    const Tensor squares = mean(mul(difference, difference));
    if (setting.waits) squares.item();
    report.values.emplace_back("fit", squares.detach());
    report.counts.emplace_back("points", full({}, 5, squares.options()));
    return squares;
  };
  const auto keep = [&] {
    for (const StepRunner::Finished& step : runner.finished()) {
      const StepReport& r = step.report;
      outcome.numbers.insert(outcome.numbers.end(),
                             {double(r.outcome), r.loss, r.gradient_norm, r.clip_factor,
                              step.values.at(0).second, step.counts.at(0).second});
    }
  };
  for (int i = 0; i < steps; ++i) {
    std::vector<std::vector<Tensor>> batches;
    for (int64_t m = 0; m < setting.micro_batches; ++m) {
      const uint64_t seed = uint64_t(100 + 10 * i + m);
      const Tensor x = i == 4 ? full({5, 4}, INFINITY) : random_tensor({5, 4}, {}, seed);
      batches.push_back(runner.upload({x, random_tensor({5, 3}, {}, seed + 50)}));
    }
    runner.take(batches, 1 - 0.1 * i, loss);
    if (!ask_late) keep();
  }
  keep();
  outcome.captured = runner.captured();
  for (const auto& [name, tensor] : optimizer.state()) {
    if (name.starts_with("weight.")) outcome.weight = values(tensor);
    if (name.starts_with("average.")) outcome.average = values(tensor);
    if (name == "optimizer.counts") outcome.counts = values(tensor);
  }
  return outcome;
}

// Bits, so that a NaN equals itself.
bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 8 * a.size()) == 0;
}

bool same(const Outcome& a, const Outcome& b) {
  return same(a.numbers, b.numbers) && same(a.weight, b.weight) && same(a.average, b.average) &&
         a.counts == b.counts;
}

constexpr Device kCuda{Device::Type::cuda, 0};

}  // namespace

TEST_CASE("step runner: steps on the CPU, numbers summed over micro-batches and counted") {
  const Outcome once = fit({});
  CHECK_FALSE(once.captured);
  REQUIRE(once.numbers.size() == 7 * 6);
  CHECK(once.numbers[5] == 5);
  CHECK(once.numbers[1] == once.numbers[4]);
  CHECK(once.numbers[4 * 6] == double(StepOutcome::non_finite_loss));
  CHECK(once.counts[0] == 6);
  CHECK(fit({.micro_batches = 3}).numbers[5] == 15);
  CHECK(same(once, fit({}, 7, false)));
}

TEST_CASE("step runner: a captured step has the bits of one that is not, on a CUDA device") {
  if (cuda_devices().empty()) return;
  const int64_t micro_batches = GENERATE(1, 3);
  const Setting eager{.device = kCuda, .graph = false, .micro_batches = micro_batches};
  Setting graph = eager;
  graph.graph = true;
  const Outcome expected = fit(eager), replayed = fit(graph);
  CHECK_FALSE(expected.captured);
  CHECK(replayed.captured);
  CHECK(replayed.notes.empty());
  CHECK(same(replayed, expected));
  CHECK(same(fit(graph, 7, false), expected));  // read after every step
  // And near the CPU's: seven steps of 0.05 at most, a few roundings of numbers of order 1 each.
  const Outcome cpu = fit({.micro_batches = micro_batches});
  for (size_t i = 0; i < cpu.weight.size(); ++i)
    CHECK(std::abs(replayed.weight[i] - cpu.weight[i]) < 7 * 16 * epsilon(DType::f32));
  CHECK(replayed.counts == cpu.counts);
}

TEST_CASE("step runner: a step that waits is not captured, says why, and is taken all the same") {
  if (cuda_devices().empty()) return;
  const Outcome waits = fit({.device = kCuda, .waits = true});
  CHECK_FALSE(waits.captured);
  CHECK_THAT(waits.notes, Catch::Contains("cuda_graph") && Catch::Contains("captur"));
  CHECK(same(waits, fit({.device = kCuda, .graph = false})));
}

TEST_CASE("step device: batches must come from the CPU; the CPU captures nothing") {
  CHECK_FALSE(step_device(kCpu)->runs_behind());
  CHECK_THROWS_WITH(step_device(kCpu)->capture([] {}), Catch::Contains("captures no steps"));
  CHECK_THROWS_WITH(step_device(kCpu)->replay(), Catch::Contains("captures no steps"));
  if (cuda_devices().empty()) return;
  const auto device = step_device(kCuda);
  CHECK_THROWS_WITH(device->upload(std::vector{full({2}, 1, {DType::f32, kCuda})}),
                    Catch::Contains("is on cuda:0"));
  CHECK_THROWS_WITH(device->replay(), Catch::Contains("no step was captured"));
  // Views, odd sizes and several types, more often than there are buffers.
  for (int i = 0; i < 5; ++i) {
    const std::vector<Tensor> batch{random_tensor({3, 5}, {}, uint64_t(i)).transpose(0, 1),
                                    from_values({3}, {1, 0, 1}, {DType::boolean}),
                                    random_tensor({7}, {DType::f64}, uint64_t(i))};
    const std::vector<Tensor> there = device->upload(batch);
    for (size_t t = 0; t < batch.size(); ++t) {
      CHECK(there[t].device() == kCuda);
      CHECK(values(there[t]) == values(batch[t]));
    }
    device->report(there[2]);
  }
  const std::vector<std::vector<double>> read = device->reports();
  REQUIRE(read.size() == 5);
  for (int i = 0; i < 5; ++i)
    CHECK(read[size_t(i)] == values(random_tensor({7}, {DType::f64}, uint64_t(i))));
  CHECK(device->reports().empty());
}

}  // namespace fathom
