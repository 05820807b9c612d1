#include "train/stages/step_runner.h"

#include "core/autograd.h"
#include "kernels/step_decision.h"

namespace fathom {

constexpr int64_t kEagerSteps = 2;  // until libraries have made their plans

static void add_to(StepRunner::Finished::Entries& sums, const std::string& name, double value) {
  for (auto& [known, sum] : sums)
    if (known == name) return void(sum += value);
  sums.emplace_back(name, value);
}

StepRunner::StepRunner(const Options& options, Optimizer& optimizer)
    : options_(options), optimizer_(optimizer), device_(step_device(options.device)) {}

// The step's decision, then the values and counts of each of its micro-batches: f64.
Tensor StepRunner::queue(const Batches& batches, const Tensor& lr_factor, const StepLoss& loss) {
  std::vector<Tensor> numbers(1);
  names_.clear();
  for (const std::vector<Tensor>& batch : batches) {
    LossReport report;
    const Tensor total = loss(batch, report);
    backward(total);
    optimizer_.accumulate(total);
    const NoGrad no_grad;
    for (const LossReport::Entries* entries : {&report.values, &report.counts})
      for (const auto& [name, value] : *entries) {
        numbers.push_back(value.to(DType::f64).view({1}));
        names_.push_back({name, entries == &report.counts});
      }
  }
  numbers[0] = optimizer_.queue_step(lr_factor);
  return concat(numbers, 0);
}

void StepRunner::take(const Batches& batches, double lr_factor, const StepLoss& loss) {
  const Tensor factor = full({}, lr_factor, {DType::f64, options_.device});
  if (steps_++ == kEagerSteps && options_.graph && device_->runs_behind())
    capture(batches, factor, loss);
  if (!captured_) return device_->report(queue(batches, factor, loss));
  const NoGrad no_grad;
  copy_values(factor, captured_->lr_factor);
  for (size_t i = 0; i < batches.size(); ++i)
    for (size_t j = 0; j < batches[i].size(); ++j)
      copy_values(batches[i][j], captured_->batches[i][j]);
  device_->replay();
  device_->report(captured_->numbers);
}

void StepRunner::capture(const Batches& batches, const Tensor& lr_factor, const StepLoss& loss) {
  Captured step{.batches = batches, .lr_factor = lr_factor.clone(), .numbers = {}};
  for (std::vector<Tensor>& batch : step.batches)
    for (Tensor& tensor : batch) tensor = tensor.clone();
  try {
    device_->capture([&] { step.numbers = queue(step.batches, step.lr_factor, loss); });
    captured_ = std::move(step);
  } catch (const Error& error) {
    optimizer_.discard();  // of the attempt, which nothing was computed for
    if (options_.on_note)
      options_.on_note(std::string("steps are not captured (cuda_graph): ") + error.what());
  }
}

std::vector<StepRunner::Finished> StepRunner::finished() {
  std::vector<Finished> steps;
  for (const std::vector<double>& numbers : device_->reports()) {
    Finished step{.report = Optimizer::report_of(std::span(numbers).first(size_t(kDecisionSize)))};
    for (size_t i = 0; i < names_.size(); ++i)
      add_to(names_[i].is_count ? step.counts : step.values, names_[i].name,
             numbers.at(size_t(kDecisionSize) + i));
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace fathom
