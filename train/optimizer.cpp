#include "train/optimizer.h"

#include <algorithm>
#include <cstring>

#include "core/autograd.h"
#include "kernels/adamw.h"
#include "kernels/step_decision.h"

namespace fathom {

namespace {

bool decays(DecayRule rule, const std::string& name, const Tensor& parameter) {
  switch (rule) {
    case DecayRule::all: return true;
    case DecayRule::weights: return parameter.rank() >= 2 && name.ends_with("weight");
  }
  fail("Optimizer: unknown decay rule ", int(rule));
}

}  // namespace

void Optimizer::add_parameter(const std::string& name, Tensor& parameter) {
  check(parameter.dtype() == DType::f32 || parameter.dtype() == DType::f64, "Optimizer: ", name,
        " is ", parameter.dtype(), "; give the weights in f32 (option bf16 makes rounded copies)");
  check(std::none_of(parameters_.begin(), parameters_.end(),
                     [&](const Parameter& p) { return p.name == name; }),
        "Optimizer: two parameters are called ", name, "; add the second module with a prefix");
  if (parameters_.empty() && parameter.device() != device_) {
    device_ = parameter.device();
    counts_ = zeros(counts_.shape(), {counts_.dtype(), device_});
    means_ = zeros(means_.shape(), {means_.dtype(), device_});
  }
  check(parameter.device() == device_, "Optimizer: ", name, " is on ", parameter.device(),
        ", the parameters before it on ", device_, "; move_to() one device");
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

StepReport Optimizer::step(double lr_factor) {
  const Tensor decision = queue_step(full({}, lr_factor, {DType::f64, device_})).to(kCpu);
  return report_of({decision.data<double>(), size_t(decision.numel())});
}

StepReport Optimizer::report_of(std::span<const double> decision) {
  StepDecision d;
  check(decision.size_bytes() == sizeof d, "Optimizer: a decision is ", kDecisionSize,
        " numbers, not ", decision.size());
  std::memcpy(static_cast<void*>(&d), decision.data(), sizeof d);
  return {.outcome = StepOutcome(int(d.outcome)),
          .loss = d.loss,
          .gradient_norm = d.gradient_norm,
          .clip_factor = d.clip_factor};
}

Tensor Optimizer::queue_step(const Tensor& lr_factor) {
  check(!losses_.empty(), "Optimizer: a step without accumulate() since the last one");
  const NoGrad no_grad;
  const profile::PassScope pass(profile::Pass::update);
  const std::vector<Tensor> all = gradients();
  std::vector<Tensor> present, losses;
  for (const Tensor& gradient : all)
    if (gradient.defined()) present.push_back(gradient);
  for (const Tensor& loss : losses_) losses.push_back(loss.to(DType::f64).view({1}));
  const Tensor squares =
      present.empty() ? zeros({}, {DType::f64, device_}) : sum_of_squares(present);
  const Tensor decision =
      decide_step(losses.size() == 1 ? losses[0] : concat(losses, 0), squares, lr_factor,
                  {.beta1 = options_.beta1,
                   .beta2 = options_.beta2,
                   .clip_norm = options_.clip_norm,
                   .average_decay = options_.average_decay,
                   .loss_outlier = options_.loss_outlier,
                   .gradient_outlier = options_.gradient_outlier},
                  counts_, means_);
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
                     .lr = options_.lr * p.lr_factor,
                     .decay = p.decay});
  }
  adamw(slots, {.beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .eps = options_.eps,
                .numbers = decision.narrow(0, kDecisionSize - kAdamwSize, kAdamwSize)});
  discard();
  return decision;
}

void Optimizer::discard() {
  losses_.clear();
  for (Parameter& p : parameters_) {
    p.model.clear_grad();
    p.summed = {};
  }
}

StepCounts Optimizer::counts() const {
  const Tensor here = counts_.to(kCpu);
  const int64_t* const counts = here.data<int64_t>();
  return {.taken = counts[0],
          .clipped = counts[1],
          .non_finite_losses = counts[1 + int(StepOutcome::non_finite_loss)],
          .non_finite_gradients = counts[1 + int(StepOutcome::non_finite_gradient)],
          .loss_outliers = counts[1 + int(StepOutcome::loss_outlier)],
          .gradient_outliers = counts[1 + int(StepOutcome::gradient_outlier)]};
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
