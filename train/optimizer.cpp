#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "kernels/adamw.h"

namespace fathom {

namespace {

enum Count { kTaken, kClipped, kLossNotFinite, kGradientNotFinite, kLossOutlier, kGradientOutlier };

bool decays(DecayRule rule, const std::string& name, const Tensor& parameter) {
  switch (rule) {
    case DecayRule::all: return true;
    case DecayRule::weights: return parameter.rank() >= 2 && name.ends_with("weight");
  }
  fail("Optimizer: unknown decay rule ", int(rule));
}

// Which of the two means: 0 of losses, 1 of gradient norms.
bool is_outlier(const OutlierOptions& options, double value, Tensor& means, int which) {
  double* const state = means.data<double>() + 3 * which;
  RunningMean mean{.sum = state[0], .weight = state[1], .count = state[2]};
  const bool outlier = is_outlier(options, value, mean);
  state[0] = mean.sum, state[1] = mean.weight, state[2] = mean.count;
  return outlier;
}

}  // namespace

void Optimizer::add_parameter(const std::string& name, Tensor& parameter) {
  check(parameter.dtype() == DType::f32 || parameter.dtype() == DType::f64, "Optimizer: ", name,
        " is ", parameter.dtype(), "; give the weights in f32 (option bf16 makes rounded copies)");
  check(std::none_of(parameters_.begin(), parameters_.end(),
                     [&](const Parameter& p) { return p.name == name; }),
        "Optimizer: two parameters are called ", name, "; add the second module with a prefix");
  // Weights are written: never into a mapped file, and in one piece.
  if (!parameter.is_contiguous() || parameter.storage()->read_only())
    parameter = parameter.detach().clone().set_requires_grad();
  Parameter p{.name = name, .model = parameter, .weight = parameter.detach()};
  if (options_.bf16) {
    parameter = p.weight.to(DType::bf16).set_requires_grad();
    p.model = parameter;
  }
  p.m = zeros(p.weight.shape(), p.weight.options());
  p.v = zeros(p.weight.shape(), p.weight.options());
  if (options_.average_decay > 0) p.average = p.weight.clone();
  p.lr_factor = name.starts_with(options_.encoder_prefix) ? 1 : options_.decoder_factor;
  p.decay = decays(options_.decay, name, p.weight) ? options_.weight_decay : 0;
  parameters_.push_back(std::move(p));
}

void Optimizer::accumulate(const Tensor& loss) {
  check(loss.numel() == 1, "Optimizer: the loss must be one number, but is ", loss.shape());
  const profile::PassScope pass(profile::Pass::update);
  losses_.push_back(loss.detach());
  if (!options_.bf16) return;  // the leaves themselves add up
  for (Parameter& p : parameters_) {
    if (!p.model.grad().defined()) continue;
    const Tensor gradient = p.model.grad().to(p.weight.dtype());
    p.model.clear_grad();
    if (p.summed.defined())
      add_in_place(p.summed, gradient);
    else
      p.summed = gradient;
  }
}

std::vector<Tensor> Optimizer::gradients() const {
  std::vector<Tensor> all;
  for (const Parameter& p : parameters_) all.push_back(options_.bf16 ? p.summed : p.model.grad());
  return all;
}

StepOutcome Optimizer::judge(StepReport& report) {
  const double micro_batches = double(losses_.size());
  for (const Tensor& loss : losses_) report.loss += loss.item() / micro_batches;
  if (!std::isfinite(report.loss)) return StepOutcome::non_finite_loss;
  std::vector<Tensor> present;
  for (const Tensor& gradient : gradients())
    if (gradient.defined()) present.push_back(gradient);
  report.gradient_norm = std::sqrt(sum_of_squares(present).item()) / micro_batches;
  if (!std::isfinite(report.gradient_norm)) return StepOutcome::non_finite_gradient;
  if (is_outlier(options_.loss_outlier, report.loss, means_, 0)) return StepOutcome::loss_outlier;
  if (is_outlier(options_.gradient_outlier, report.gradient_norm, means_, 1))
    return StepOutcome::gradient_outlier;
  return StepOutcome::taken;
}

StepReport Optimizer::step(double lr_factor) {
  check(!losses_.empty(), "Optimizer: step() without accumulate() since the last one");
  const NoGrad no_grad;
  const profile::PassScope pass(profile::Pass::update);
  StepReport report{.lr = options_.lr * lr_factor};
  report.outcome = judge(report);
  int64_t* const counts = counts_.data<int64_t>();
  switch (report.outcome) {
    case StepOutcome::non_finite_loss: ++counts[kLossNotFinite]; break;
    case StepOutcome::non_finite_gradient: ++counts[kGradientNotFinite]; break;
    case StepOutcome::loss_outlier: ++counts[kLossOutlier]; break;
    case StepOutcome::gradient_outlier: ++counts[kGradientOutlier]; break;
    case StepOutcome::taken:
      ++counts[kTaken];
      if (options_.clip_norm > 0)
        report.clip_factor = std::min(1.0, options_.clip_norm / (report.gradient_norm + 1e-6));
      if (report.clip_factor < 1) ++counts[kClipped];
      update(report);
  }
  clear();
  return report;
}

void Optimizer::update(const StepReport& report) {
  const std::vector<Tensor> all = gradients();
  std::vector<AdamwSlot> slots;
  for (size_t i = 0; i < all.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (!all[i].defined()) continue;
    slots.push_back({.grad = all[i].contiguous(),
                     .weight = p.weight,
                     .m = p.m,
                     .v = p.v,
                     .average = p.average,
                     .rounded = options_.bf16 ? p.model.detach() : Tensor(),
                     .lr = report.lr * p.lr_factor,
                     .decay = p.decay});
  }
  const double taken = double(counts().taken);
  adamw(slots, {.step = counts().taken,
                .beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .eps = options_.eps,
                .grad_scale = report.clip_factor / double(losses_.size()),
                .average_decay = std::min(options_.average_decay, (1 + taken) / (10 + taken))});
}

void Optimizer::clear() {
  losses_.clear();
  for (Parameter& p : parameters_) {
    p.model.clear_grad();
    p.summed = {};
  }
}

StepCounts Optimizer::counts() const {
  const int64_t* const counts = counts_.data<int64_t>();
  return {.taken = counts[kTaken],
          .clipped = counts[kClipped],
          .non_finite_losses = counts[kLossNotFinite],
          .non_finite_gradients = counts[kGradientNotFinite],
          .loss_outliers = counts[kLossOutlier],
          .gradient_outliers = counts[kGradientOutlier]};
}

std::vector<NamedTensor> Optimizer::state() const {
  check(losses_.empty(), "Optimizer: gradients are accumulated; save between steps");
  std::vector<NamedTensor> all{{"optimizer.counts", counts_}, {"optimizer.means", means_}};
  for (const Parameter& p : parameters_) {
    all.push_back({"weight." + p.name, p.weight});
    all.push_back({"m." + p.name, p.m});
    all.push_back({"v." + p.name, p.v});
    if (p.average.defined()) all.push_back({"average." + p.name, p.average});
  }
  return all;
}

void Optimizer::load_state(const std::function<Tensor(const std::string&)>& find) {
  std::vector<NamedTensor> own = state();
  std::vector<Tensor> found;
  for (const auto& [name, tensor] : own) {
    found.push_back(find(name));
    check(found.back().defined(), "Optimizer: the saved state lacks ", name);
    check(found.back().shape() == tensor.shape() && found.back().dtype() == tensor.dtype(),
          "Optimizer: ", name, " must be ", tensor.dtype(), " ", tensor.shape(),
          ", but is saved as ", found.back().dtype(), " ", found.back().shape());
  }
  const NoGrad no_grad;
  for (size_t i = 0; i < own.size(); ++i) copy_values(found[i], own[i].tensor);
  for (Parameter& p : parameters_)
    if (options_.bf16) copy_values(p.weight, p.model);
}

Tensor Optimizer::average(const std::string& name) const {
  for (const Parameter& p : parameters_)
    if (p.name == name) return p.average.defined() ? p.average : p.weight;
  fail("Optimizer: no parameter is called ", name);
}

}  // namespace fathom
