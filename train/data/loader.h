#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "train/config.h"
#include "train/data/augment.h"
#include "train/data/depth_map.h"

namespace fathom {

struct LoaderOptions {
  std::vector<std::filesystem::path> manifests = {};
  std::string split = {};            // of every manifest; empty: all entries
  std::vector<double> weights = {};  // of the manifests; empty: concatenation
  DepthTarget target = DepthTarget::inverse_depth;
  int64_t side = 518;  // of the square crop
  int64_t batch = 1;
  bool perturb = false;  // colours and blur of the image
  AugmentSection augment = {};
  uint64_t seed = 0;
  int64_t rank = 0, world = 1;
  int64_t workers = 2;
  int64_t queue_bytes = int64_t(1) << 30;  // batches being filled or waiting; at least one
  double max_bad_rate = 0.01;              // share of corrupt samples that ends the run
  int64_t first_batch = 0;                 // where a resumed run goes on
  int64_t max_pixels = 40'000'000;         // of a photo or label; larger ones count as corrupt
};

/// B samples of one size, on the CPU.
struct LoaderBatch {
  Tensor image;                    // [B, side, side, 3], perturbed if asked for, normalised
  Tensor target;                   // [B, side, side]; undefined for unlabeled data
  Tensor mask;                     // boolean [B, side, side]: where the target is valid
  std::vector<SampleId> ids = {};  // for cutmix_regions
};

/// Corrupt samples so far.
struct LoaderReport {
  int64_t places = 0;                      // samples delivered
  int64_t skipped = 0;                     // samples that could not be read
  std::vector<std::string> messages = {};  // file and reason, each once, at most 100
  double wait_s = 0;                       // how long next() has waited
  int64_t peak_bytes = 0;                  // of the batches being filled or waiting
};

/// Decodes, crops and augments in threads of its own. Batch n is a pure function of the manifests,
/// the options and n: not of the workers, nor of where the run began.
///
/// Place q = n * batch + b takes position q % epoch_size of epoch q / epoch_size (SampleOrder).
/// Where that sample cannot be read, the sample of the next position takes its place, too. Memory:
/// queue_bytes (or one batch) and, for each worker, what decoding one photo and its label takes,
/// less than 64 bytes a pixel; of it 64 MiB are kept from one
/// photo to the next, by the whole process (core/heap.h).
class Loader {
 public:
  /// Throws Error for a manifest that cannot be read, or labeled and unlabeled entries together.
  explicit Loader(LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Waits for the next batch. Throws Error when more samples are corrupt than max_bad_rate of
  /// those delivered, counted as at least 1000.
  LoaderBatch next();
  /// Samples of an epoch of this rank.
  int64_t epoch_size() const;
  bool labeled() const;
  LoaderReport report() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fathom
