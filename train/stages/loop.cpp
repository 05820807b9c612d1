#include "train/stages/loop.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/cuda.h"
#include "core/device_choice.h"
#include "core/file.h"
#include "core/version.h"
#include "models/save.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

OptimizerOptions optimizer_options(const OptimizerSection& o) {
  return {.lr = o.lr,
          .decoder_factor = o.decoder_factor,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .weight_decay = o.weight_decay,
          .decay = o.decay == "all" ? DecayRule::all : DecayRule::weights,
          .clip_norm = o.clip_norm,
          .average_decay = o.ema,
          .bf16 = o.precision == "bf16",
          .loss_outlier = {.factor = o.loss_outlier},
          .gradient_outlier = {.factor = o.gradient_outlier}};
}

Schedule schedule_of(const ScheduleSection& s, int64_t steps) {
  const Decay decay = s.kind == "linear"   ? Decay::linear
                      : s.kind == "poly"   ? Decay::poly
                      : s.kind == "cosine" ? Decay::cosine
                                           : Decay::constant;
  return {.decay = decay,
          .steps = steps,
          .warmup = s.warmup_steps,
          .power = s.power,
          .least = s.final_factor};
}

std::string code_version() { return version() + " (" + revision() + ")"; }

// The optimiser's "weight.NAME", "m.NAME" ... as a checkpoint calls them: weights as a model that
// inference finds, moments so that no reader takes them for one.
std::string checkpoint_name(const std::string& name) {
  const size_t dot = name.find('.');
  const std::string group = name.substr(0, dot), parameter = name.substr(dot + 1);
  if (group == "weight") return "model." + parameter;
  if (group == "average") return "ema." + parameter;
  if (group == "m") return "optimizer." + parameter + ".exp_avg";
  if (group == "v") return "optimizer." + parameter + ".exp_avg_sq";
  return name;
}

// Keys that may change between two sessions of a run: they do not reach the weights, or no further
// than another device's rounding does.
bool harmless(const std::string& difference) {
  for (const char* key : {"logging.", "checkpoint.", "eval.", "data.workers", "data.queue_mib",
                          "device:", "cuda_graph:"})
    if (difference.starts_with(key)) return true;
  return false;
}

}  // namespace

DataState data_state(std::span<const Loader* const> loaders) {
  DataState state;
  for (const Loader* loader : loaders) {
    const LoaderReport report = loader->report();
    state.wait_s += report.wait_s;
    state.skipped += report.skipped;
    if (!report.messages.empty()) state.last = report.messages.back();
  }
  return state;
}

// A run keeps the precision that it began with, whatever device it goes on with.
static TrainConfig with_precision(TrainConfig config, const TrainOptions& options, Device device) {
  std::string& precision = config.optimizer.precision;
  const fs::path before = RunFolder{options.out}.config();
  if (precision == "auto" && options.resume && fs::exists(before))
    precision = read_config(before).optimizer.precision;
  precision = precision_on(device, config);
  return config;
}

TrainLoop::TrainLoop(const TrainConfig& config, const TrainOptions& options, StageParts parts,
                     DepthAnything& model)
    : config_(with_precision(config, options, choose_device(config.device))),
      options_(options),
      parts_(std::move(parts)),
      model_(model),
      folder_{options.out},
      checkpoints_(folder_.checkpoints(), config.checkpoint.keep),
      device_(choose_device(config.device)),
      optimizer_(optimizer_options(config_.optimizer)),
      steps_({.device = device_,
              .graph = config.cuda_graph,
              .on_note = [this](const std::string& text) { note(text); }},
             optimizer_),
      schedule_(schedule_of(config.schedule, parts_.steps)) {
  check(schedule_.warmup <= parts_.steps, "schedule.warmup_steps is ", schedule_.warmup,
        ", but the run has ", parts_.steps, " steps");
  move_to(model_, device_);
  require_grad(model_);
  optimizer_.add(model_);
  for_each_parameter(model_, [&](const std::string& name, const Tensor&, AxisOrder order) {
    orders_[name] = order;
  });
  check(options_.resume || !fs::exists(folder_.log()), options_.out.string(),
        ": holds a run already; go on with it by --resume, or choose another --out");
  if (options_.resume) resume();
  write_text(folder_.config(), config_text(config_));
  json_ = std::make_unique<JsonLog>(folder_.log(), step_);
  if (config_.logging.tensorboard)
    tensorboard_ = std::make_unique<TensorBoardLog>(folder_.tensorboard(), step_ + 1);
}

void TrainLoop::resume() {
  const CheckpointFolder::Found found = checkpoints_.newest();
  for (const std::string& reason : found.rejected) note("passed over " + reason);
  if (!found.path) {
    note(options_.out.string() + ": no checkpoint yet, starting from the beginning");
    return;
  }
  const Checkpoint& checkpoint = found.checkpoint;
  const RunState& state = checkpoint.state;
  check(state.stage == parts_.name, found.path->string(), ": is of a ", state.stage, ", not of a ",
        parts_.name);
  refuse_other_config(checkpoint);
  optimizer_.load_state([&](const std::string& name) {
    const size_t dot = name.find('.');
    const auto order = orders_.find(name.substr(dot + 1));
    return read_tensor(checkpoint, checkpoint_name(name),
                       order == orders_.end() ? AxisOrder::as_published : order->second);
  });
  step_ = saved_step_ = state.step;
  earlier_s_ = state.numbers.at("seconds");
  evaluated_ = state.numbers.at("evaluated") != 0;
  best_ = state.numbers.at("best");
  note("resumed from " + found.path->string() + ", step " + std::to_string(step_) + " of " +
       std::to_string(parts_.steps));
  if (state.code != code_version())
    note("the checkpoint was written by fathom " + state.code + ", this is " + code_version() +
         "; the same bits are only promised within one version");
}

void TrainLoop::refuse_other_config(const Checkpoint& checkpoint) const {
  const TrainConfig before = parse_config(checkpoint.state.config, checkpoint.archive.path);
  std::vector<std::string> differences = config_differences(before, config_);
  std::erase_if(differences, harmless);
  if (differences.empty()) return;
  std::string list;
  for (const std::string& difference : differences) list += (list.empty() ? "" : "; ") + difference;
  fail(checkpoint.archive.path, ": the configuration has changed: ", list,
       "; undo that, or start a new run with another --out");
}

DType TrainLoop::computes_in() const {
  return config_.optimizer.precision == "bf16" ? DType::bf16 : DType::f32;
}

Tensor TrainLoop::as_input(const Tensor& image) const { return image.to(computes_in()); }

Tensor TrainLoop::forward(const DepthAnything& model, const Tensor& image) const {
  return model(as_input(image)).to(DType::f32);
}

Dinov2 TrainLoop::frozen(Dinov2 encoder) const {
  const NoGrad no_grad;
  for_each_parameter(encoder, [&](const std::string&, Tensor& t, AxisOrder) {
    t = t.detach().to(computes_in()).to(device_);
  });
  for_each_module(encoder, [&](const std::string&, auto& module) {
    if constexpr (requires { module.pack(); }) module.pack();
  });
  return encoder;
}

TrainReport TrainLoop::run(const std::function<std::vector<Tensor>()>& fetch, const StepLoss& loss,
                           std::span<const Loader* const> loaders) {
  const auto stopped = [&] { return options_.stop && *options_.stop; };
  const auto batches = [&] {
    std::vector<std::vector<Tensor>> micro_batches;
    for (int64_t i = 0; i < config_.optimizer.accumulate; ++i)
      micro_batches.push_back(steps_.upload(fetch()));
    return micro_batches;
  };
  window_ = {.seconds = seconds(), .data_wait_s = data_state(loaders).wait_s};
  std::vector<std::vector<Tensor>> next;
  while (step_ < parts_.steps && !stopped()) {
    if (next.empty()) next = batches();
    const double rate = lr_factor(schedule_, step_);
    steps_.take(std::exchange(next, {}), rate, loss);
    ++step_;
    const bool last = step_ == parts_.steps;
    if (steps_.runs_behind() && !last) next = batches();  // while the step is computed
    log(rate, data_state(loaders));
    const auto due = [&](int64_t every) { return every > 0 && step_ % every == 0; };
    const bool best = (last || due(config_.eval.every_steps)) && evaluate();
    if (last || best || due(config_.checkpoint.every_steps)) save(best);
  }
  report_.steps = step_;
  report_.stopped = step_ < parts_.steps;
  if (report_.stopped && saved_step_ != step_) save(false);
  if (!report_.stopped) finish();
  return report_;
}

void TrainLoop::collect() {
  const auto add = [&](const std::string& name, double value) {
    for (auto& [known, sum] : window_.sums)
      if (known == name) return void(sum += value);
    window_.sums.emplace_back(name, value);
  };
  for (const StepRunner::Finished& step : steps_.finished()) {
    ++window_.steps;
    window_.loss += step.report.loss, window_.norm += step.report.gradient_norm;
    for (const auto& [name, value] : step.values) add("loss/" + name, value);
    for (const auto& [name, value] : step.counts) window_.counts["count/" + name] += int64_t(value);
  }
}

void TrainLoop::log(double lr_factor, const DataState& data) {
  if (step_ % config_.logging.every_steps != 0 && step_ != parts_.steps) return;
  collect();
  const double steps = double(window_.steps), now = seconds();
  const double elapsed = std::max(1e-9, now - window_.seconds);
  const double rate = steps * double(images_per_step()) / elapsed;
  const double wait = std::clamp((data.wait_s - window_.data_wait_s) / elapsed, 0.0, 1.0);
  const StepCounts counts = optimizer_.counts();
  const int64_t skipped = step_ - counts.taken;
  const double lr = config_.optimizer.lr * lr_factor;

  LogValues values{{"loss/total", window_.loss / steps}};
  for (const auto& [name, sum] : window_.sums)
    values.emplace_back(name, sum / steps / double(config_.optimizer.accumulate));
  for (const auto& [name, count] : window_.counts) values.emplace_back(name, double(count));
  values.insert(values.end(), {{"optimizer/lr", lr},
                               {"optimizer/gradient_norm", window_.norm / steps},
                               {"optimizer/clipped_steps", double(counts.clipped)},
                               {"optimizer/skipped_steps", double(skipped)},
                               {"speed/images_per_second", rate},
                               {"speed/data_wait", wait}});
  if (data.skipped > 0) values.emplace_back("data/skipped_samples", double(data.skipped));
  if (data.skipped > told_)
    note(std::to_string(data.skipped) +
         " samples could not be read so far; the last: " + data.last);
  told_ = data.skipped;
  json_->write(step_, now, values);
  if (tensorboard_) tensorboard_->write(step_, values);
  if (options_.on_progress)
    options_.on_progress({.step = step_,
                          .steps = parts_.steps,
                          .loss = window_.loss / steps,
                          .lr = lr,
                          .images_per_second = rate,
                          .data_wait = wait,
                          .seconds_left = double(parts_.steps - step_) * elapsed / steps,
                          .skipped_steps = skipped});
  window_ = {.seconds = now, .data_wait_s = data.wait_s};
}

// Whether this is the best so far.
bool TrainLoop::evaluate() {
  if (!parts_.evaluate) return false;
  report_.evaluation = parts_.evaluate(snapshot());
  for (const std::string& reason : report_.evaluation->skipped)
    note("skipped in the evaluation: " + reason);
  json_->write(step_, seconds(), report_.evaluation->values);
  if (tensorboard_) tensorboard_->write(step_, report_.evaluation->values);
  const bool best = !evaluated_ || report_.evaluation->score > best_;
  if (best) best_ = report_.evaluation->score;
  evaluated_ = true;
  return best;
}

// The averaged weights where there are some; in f32.
DepthAnything TrainLoop::snapshot() const {
  DepthAnything copy = model_;
  for_each_parameter(copy, [&](const std::string& name, Tensor& t, AxisOrder) {
    t = optimizer_.average(name).detach();
  });
  return copy;
}

std::vector<StateTensor> TrainLoop::state_tensors() const {
  std::vector<StateTensor> tensors;
  for (const auto& [name, tensor] : optimizer_.state()) {
    const auto order = orders_.find(name.substr(name.find('.') + 1));
    tensors.push_back({checkpoint_name(name), tensor,
                       order == orders_.end() ? AxisOrder::as_published : order->second});
  }
  return tensors;
}

void TrainLoop::save(bool best) {
  const RunState state{
      .stage = parts_.name,
      .step = step_,
      .seed = uint64_t(config_.seed),
      .positions = {{"batches", next_batch()}},
      .numbers = {{"seconds", seconds()}, {"evaluated", double(evaluated_)}, {"best", best_}},
      .config = config_text(config_),
      .code = code_version()};
  checkpoints_.save(state, state_tensors(), model_metadata(model_, parts_.model_version), best);
  saved_step_ = step_;
}

double TrainLoop::seconds() const {
  return earlier_s_ +
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void TrainLoop::finish() {
  save_model(folder_.weights(), snapshot(), parts_.model_version);
  // Resumed behind the last step: the log has the evaluation's line, this process not its numbers.
  if (!report_.evaluation && parts_.evaluate) report_.evaluation = parts_.evaluate(snapshot());
  report_.images = step_ * images_per_step();
  report_.seconds = seconds();
  report_.counts = optimizer_.counts();
  report_.peak_bytes = device_ == kCpu ? allocator::statistics().peak_bytes
                                       : cuda_memory_statistics(device_.index).peak_bytes;
  Json evaluation = Json::object();
  if (report_.evaluation)
    for (const auto& [name, value] : report_.evaluation->values) evaluation[name] = value;
  const StepCounts& c = report_.counts;
  write_text(folder_.result(), Json{{"stage", parts_.name},
                                    {"fathom", code_version()},
                                    {"parameters", parameter_count(model_)},
                                    {"steps", report_.steps},
                                    {"images", report_.images},
                                    {"seconds", report_.seconds},
                                    {"peak_bytes", report_.peak_bytes},
                                    {"steps_skipped", step_ - c.taken},
                                    {"steps_clipped", c.clipped},
                                    {"evaluation", evaluation}}
                                       .dump(2) +
                                   "\n");
}

}  // namespace fathom
