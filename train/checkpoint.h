#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/checkpoint/archive.h"
#include "nn/module.h"

namespace fathom {

/// A tensor of a run's state. Files hold it in published order, so that a checkpoint is also a
/// checkpoint of the model: `fathom infer --weights RUN/checkpoints/best.safetensors`.
struct StateTensor {
  std::string name;  // "model.pretrained.cls_token"
  Tensor tensor;
  AxisOrder order = AxisOrder::as_published;
};

/// What a run must know, beside its tensors, to go on as if it had never stopped.
struct RunState {
  std::string stage;  // teacher, student or metric
  int64_t step = 0;   // optimiser steps done
  uint64_t seed = 0;
  std::map<std::string, int64_t> positions;  // of the data, by stream: samples drawn so far
  std::map<std::string, double> numbers;     // counters, running norms, the best result
  std::string config;                        // as config_text writes it
  std::string code;                          // version and revision that wrote it
  bool operator==(const RunState&) const = default;
};

/// Writes a safetensors file with a checksum over everything it says, whole or not at all.
/// metadata: beside the state, for readers of the model (models/save.h).
/// Throws Error when it cannot be written (a full disk); what was there before is untouched.
void write_checkpoint(const std::filesystem::path& path, const RunState& state,
                      std::span<const StateTensor> tensors,
                      const std::map<std::string, std::string>& metadata = {});

struct Checkpoint {
  Archive archive;
  RunState state;
};

/// Opens a checkpoint and verifies its checksum. Throws Error for a file that is cut short or
/// changed anywhere.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// One tensor of a checkpoint in the order of axes that it has in memory. Throws Error without one.
Tensor read_tensor(const Checkpoint& checkpoint, const std::string& name,
                   AxisOrder order = AxisOrder::as_published);

/// The checkpoints of a run: FOLDER/step-000001000.safetensors and FOLDER/best.safetensors.
class CheckpointFolder {
 public:
  /// keep: how many of the newest stay; the best stays as well.
  CheckpointFolder(std::filesystem::path folder, int64_t keep);

  /// Writes a checkpoint, then removes the oldest above `keep`. With `best` a copy replaces
  /// best.safetensors.
  void save(const RunState& state, std::span<const StateTensor> tensors,
            const std::map<std::string, std::string>& metadata, bool best);

  struct Found {
    std::optional<std::filesystem::path> path;  // absent when there is no valid one
    Checkpoint checkpoint;                      // what is there
    std::vector<std::string> rejected;          // why newer ones were passed over
  };
  /// The newest checkpoint whose checksum holds.
  Found newest() const;

  std::filesystem::path path_of(int64_t step) const;
  std::filesystem::path best_path() const { return folder_ / "best.safetensors"; }

 private:
  std::vector<std::filesystem::path> steps() const;  // oldest first
  void sweep() const;
  std::filesystem::path folder_;
  int64_t keep_;
};

}  // namespace fathom
