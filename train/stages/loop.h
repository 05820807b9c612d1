#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "train/checkpoint.h"
#include "train/config.h"
#include "train/data/loader.h"
#include "train/log/json_log.h"
#include "train/log/progress.h"
#include "train/log/tensorboard.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/stages/step_runner.h"

namespace fathom {

/// What the command line decides about a run.
struct TrainOptions {
  std::filesystem::path out = {};           // the run's folder
  bool resume = false;                      // go on from its newest valid checkpoint
  const std::atomic<bool>* stop = nullptr;  // looked at between two steps
  std::function<void(const TrainProgress&)> on_progress = {};  // where the log has a line
  std::function<void(const std::string&)> on_note = {};        // what a person should know
};

/// The numbers by which a model is judged, "eval/delta1" among them, and which of them decides.
struct Evaluation {
  LogValues values;
  double score = 0;                       // larger is better
  std::vector<std::string> skipped = {};  // images that could not be read: file and reason
};

/// How a run ended.
struct TrainReport {
  int64_t steps = 0, images = 0;
  double seconds = 0;    // of all sessions
  bool stopped = false;  // by `stop`, with a checkpoint written
  StepCounts counts;
  int64_t peak_bytes = 0;  // of tensors, in this session
  std::optional<Evaluation> evaluation;
};

/// How the loaders of a stage fare, together, since this session began.
struct DataState {
  double wait_s = 0;      // that the run waited for batches
  int64_t skipped = 0;    // samples that could not be read
  std::string last = {};  // of them, and why
};
DataState data_state(std::span<const Loader* const> loaders);

/// What a stage brings along.
struct StageParts {
  std::string name;   // teacher, student, metric
  int64_t steps = 1;  // of the optimiser
  int64_t images_per_batch = 1;
  int model_version = 1;
  std::function<Evaluation(const DepthAnything&)> evaluate = {};  // may be empty
};

/// The part of training that every stage shares: the folder of the run, its optimiser, logs,
/// checkpoints and evaluations.
///
/// A run is a pure function of its configuration and its device: a batch depends on its number
/// alone, and a checkpoint holds everything else, so a run that was stopped or killed ends with the
/// same bits as one that was not. On a GPU nothing waits for a step but the log's lines
/// (train/stages/step_runner.h).
class TrainLoop {
 public:
  /// Moves the model to the device; opens the folder and, with `resume`, the newest valid
  /// checkpoint, of whatever device. Throws Error when the folder holds another run, or when the
  /// configuration differs from the checkpoint's in what decides about the weights.
  TrainLoop(const TrainConfig& config, const TrainOptions& options, StageParts parts,
            DepthAnything& model);

  /// Number of the batch that comes next: steps done times batches a step.
  int64_t next_batch() const { return step_ * config_.optimizer.accumulate; }
  int64_t batches() const { return parts_.steps * config_.optimizer.accumulate; }

  /// Images in the type that the model computes in.
  Tensor as_input(const Tensor& image) const;
  /// model(image) in f32, as the losses want it.
  Tensor forward(const DepthAnything& model, const Tensor& image) const;
  /// An encoder that is not trained, in that type.
  Dinov2 frozen(Dinov2 encoder) const;

  /// Runs to the end or until stopped. `fetch` draws the next batch, tensors on the CPU, always as
  /// many and of the same shapes; loss gets them on the device. `loaders` are what fetch draws
  /// from.
  TrainReport run(const std::function<std::vector<Tensor>()>& fetch, const StepLoss& loss,
                  std::span<const Loader* const> loaders);

 private:
  DType computes_in() const;
  void resume();
  void refuse_other_config(const Checkpoint& checkpoint) const;
  void save(bool best);
  bool evaluate();
  void collect();
  void log(double lr_factor, const DataState& data);
  void finish();
  double seconds() const;
  int64_t images_per_step() const { return parts_.images_per_batch * config_.optimizer.accumulate; }
  DepthAnything snapshot() const;
  std::vector<StateTensor> state_tensors() const;
  void note(const std::string& text) const {
    if (options_.on_note) options_.on_note(text);
  }

  TrainConfig config_;
  TrainOptions options_;
  StageParts parts_;
  DepthAnything& model_;
  RunFolder folder_;
  CheckpointFolder checkpoints_;
  Device device_;
  Optimizer optimizer_;
  StepRunner steps_;
  Schedule schedule_;
  std::map<std::string, AxisOrder> orders_;  // of the parameters
  int64_t step_ = 0, saved_step_ = -1;
  double best_ = 0;  // score of the best evaluation
  bool evaluated_ = false;
  int64_t told_ = 0;      // bad samples of which a note was given
  double earlier_s_ = 0;  // of the sessions before this one
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::unique_ptr<JsonLog> json_;
  std::unique_ptr<TensorBoardLog> tensorboard_;
  // Since the last line of the log.
  struct Window {
    int64_t steps = 0;
    double seconds = 0, data_wait_s = 0;  // when it began
    double loss = 0, norm = 0;            // sums over its steps
    std::vector<std::pair<std::string, double>> sums = {};
    std::map<std::string, int64_t> counts = {};
  } window_;
  TrainReport report_;
};

}  // namespace fathom
