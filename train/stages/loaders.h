#pragma once

#include "train/config.h"
#include "train/data/loader.h"

namespace fathom {

/// The streams of a run, which draw independently of each other.
enum class Stream : uint64_t { labeled, unlabeled };

/// A loader as the data and augment sections describe it, from a batch on.
LoaderOptions loader_options(const TrainConfig& config, Stream stream,
                             const std::vector<std::string>& manifests, int64_t batch,
                             int64_t first_batch);

}  // namespace fathom
