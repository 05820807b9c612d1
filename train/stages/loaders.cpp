#include "train/stages/loaders.h"

namespace fathom {

LoaderOptions loader_options(const TrainConfig& config, Stream stream,
                             const std::vector<std::string>& manifests, int64_t batch,
                             int64_t first_batch) {
  const DataSection& data = config.data;
  LoaderOptions options{.manifests = {manifests.begin(), manifests.end()},
                        .side = data.size,
                        .batch = batch,
                        .augment = config.augment,
                        .seed = 2 * uint64_t(config.seed) + uint64_t(stream),
                        .workers = data.workers,
                        .queue_bytes = data.queue_mib << 20,
                        .max_bad_rate = data.max_bad_rate,
                        .first_batch = first_batch};
  if (stream == Stream::labeled && data.mixing == "weighted") options.weights = data.weights;
  if (stream == Stream::labeled && data.mixing == "equal")
    options.weights.assign(manifests.size(), 1);
  return options;
}

}  // namespace fathom
