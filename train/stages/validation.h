#pragma once

#include <filesystem>
#include <functional>

#include "train/eval/protocol.h"
#include "train/stages/loop.h"

namespace fathom {

/// What the eval section says, for a model of that version, which decides how maps are resized.
EvalProtocol protocol_of(const EvalSection& section, int64_t version);

/// What a run does when it evaluates: compares the model with the labels of data.validation as the
/// eval section says, writes panels (train/panels.h) into the run's folder, and judges by delta1,
/// of disparity for relative models and of depth for metric ones. Empty without a validation set.
/// Labels whose unit is not known are compared in theirs. What cannot be read is skipped and named;
/// more than one such image and more than data.max_bad_rate of all ends the run.
std::function<Evaluation(const DepthAnything&)> validation_of(const TrainConfig& config,
                                                              DepthKind kind,
                                                              const std::filesystem::path& run);

}  // namespace fathom
