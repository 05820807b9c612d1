#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/step_rules.h"
#include "nn/module.h"

namespace fathom {

/// Which parameters are pulled towards 0.
enum class DecayRule {
  all,      // as torch.optim.AdamW does unless told otherwise, and the published training code
  weights,  // matrices and kernels named "weight": no bias, norm, LayerScale, token or position
};

struct OptimizerOptions {
  double lr = 5e-6;                            // of the encoder
  double decoder_factor = 10;                  // of everything else: its rate against the encoder's
  std::string encoder_prefix = "pretrained.";  // names of the encoder's parameters
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.01;
  DecayRule decay = DecayRule::all;
  double clip_norm = 0;  // the norm of all gradients together is brought below it; 0: off
  /// Of the moving average of the weights; 0: none is kept. The first steps use less, so that the
  /// start is forgotten: min(average_decay, (1 + t) / (10 + t)) at step t = 1, 2, ...
  double average_decay = 0;
  bool bf16 = false;  // the model computes with bf16 copies of f32 weights
  OutlierOptions loss_outlier = {}, gradient_outlier = {};
};

/// One step, as a log wants it.
struct StepReport {
  StepOutcome outcome = StepOutcome::taken;
  double loss = 0;           // mean of the micro-batches
  double gradient_norm = 0;  // before clipping; 0 if the loss already stopped the step
  double clip_factor = 1;
};

/// All steps so far.
struct StepCounts {
  int64_t taken = 0, clipped = 0;
  int64_t non_finite_losses = 0, non_finite_gradients = 0;
  int64_t loss_outliers = 0, gradient_outliers = 0;
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// AdamW over the parameters of one or more modules. A step is one or more of backward() and
/// accumulate(), then step().
///
///     Optimizer optimizer(options);
///     optimizer.add(model);
///     for (...) {
///       for (micro-batches) { backward(loss); optimizer.accumulate(loss); }
///       const StepReport report = optimizer.step(lr_factor(schedule, i));
///     }
///
/// f32: the model's parameters are the weights. bf16: add() replaces them by bf16 tensors of the
/// same names, the optimiser keeps f32 weights, sums gradients in f32 and writes rounded copies
/// after each step; inputs then must be bf16, and losses want prediction.to(DType::f32).
///
/// A step with a loss or gradient that is not finite, or that is an outlier, changes no weight and
/// no moment; it is counted. Parameters that got no gradient are left alone, as in torch.
///
/// All of it happens where the parameters are, which is one device. Only step() waits for that:
/// queue_step() does not, and may be part of a captured step.
class Optimizer {
 public:
  explicit Optimizer(OptimizerOptions options) : options_(std::move(options)) {}

  /// Takes every parameter of the module that requires a gradient. Names become prefix + path.
  void add(auto& module, const std::string& prefix = "") {
    for_each_parameter(module, [&](const std::string& name, Tensor& parameter, AxisOrder) {
      if (parameter.requires_grad()) add_parameter(prefix + name, parameter);
    });
  }

  /// Takes over the gradients that backward(loss) left; loss has one element. The step's gradient
  /// is the mean over these calls.
  void accumulate(const Tensor& loss);

  /// Updates the weights with rates of lr_factor times the options'. The norm is that of the mean
  /// gradient; it is clipped as torch.nn.utils.clip_grad_norm_ does, by clip_norm / (norm + 1e-6).
  StepReport step(double lr_factor);

  /// The same; lr_factor [] f64 where the parameters are. Returns what was decided, for report_of()
  /// once it has been read: a StepDecision as f64 [kDecisionSize].
  Tensor queue_step(const Tensor& lr_factor);
  static StepReport report_of(std::span<const double> decision);

  /// Drops what was accumulated, and the parameters' gradients.
  void discard();

  StepCounts counts() const;

  /// Everything that a checkpoint must hold, named: "weight." "m." "v." "average." + parameter, and
  /// "optimizer.counts", "optimizer.means". Between steps only: with gradients accumulated this
  /// throws. The tensors are the optimiser's own.
  std::vector<NamedTensor> state() const;

  /// Reads it back, bit for bit; find returns the tensor of a name. Throws Error, naming the
  /// tensor, if shape or dtype differ, before anything is changed.
  void load_state(const std::function<Tensor(const std::string& name)>& find);

  /// The moving average of a parameter; without average_decay, the weight itself.
  Tensor average(const std::string& name) const;

 private:
  struct Parameter {
    std::string name;
    Tensor model;           // what the model computes with
    Tensor weight;          // model's own storage, or f32 beside it
    Tensor m = {}, v = {};  // moments
    Tensor average = {};    // undefined without average_decay
    Tensor summed = {};     // bf16: gradients since the last step
    double lr_factor = 1, decay = 0;
  };
  void add_parameter(const std::string& name, Tensor& parameter);
  std::vector<Tensor> gradients() const;

  OptimizerOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> losses_;  // of the micro-batches since the last step
  Device device_ = kCpu;
  Tensor counts_ = zeros({kStepCounts}, {DType::i64});  // on the device, as all below
  Tensor means_ = zeros({kStepMeans}, {DType::f64});
};

}  // namespace fathom
