#pragma once

#include <string>
#include <vector>

#include "train/config.h"

namespace fathom {

enum class StageName { teacher, student, metric };
std::string name_of(StageName stage);

/// Manifests of pseudo labels: what the label stage of the same configuration writes.
std::filesystem::path pseudo_label_manifest(const TrainConfig& config);

/// How much a stage will do.
struct StagePlan {
  int64_t labeled = 0, unlabeled = 0;  // images
  int64_t images_per_batch = 0;
  int64_t steps = 0;                 // 0 where it follows from images that are not there
  std::vector<std::string> missing;  // manifests that cannot be read, and why
};

/// Counts the data of a stage. With `tolerate_missing`, manifests that cannot be read are listed
/// instead of refused. Throws Error when a stage lacks what it needs: "data.labeled is empty".
StagePlan plan_stage(const TrainConfig& config, StageName stage, bool tolerate_missing = false);

/// Bytes of tensors at the peak of a training step: weights, gradients, moments, averages and what
/// the backward pass needs of a batch. On a GPU also columns of convolutions, batches under way,
/// and what rounding blocks and segments up takes.
int64_t estimate_training_bytes(const DepthAnythingConfig& model, const TrainConfig& config,
                                int64_t images, int64_t frozen_images, Device device = kCpu);

/// Multiplications and additions of one forward pass over an image.
double forward_flops(const DepthAnythingConfig& model, int64_t size);

/// What --dry-run prints: data, parameters, device and its memory, steps and time, the last from a
/// short measurement of the device.
std::string describe_plan(const TrainConfig& config, StageName stage);

}  // namespace fathom
