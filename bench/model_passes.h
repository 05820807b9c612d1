#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/meter.h"
#include "bench/model_bench.h"
#include "models/postprocess.h"
#include "train/infer/outputs.h"
#include "train/optimizer.h"

namespace fathom::bench {

/// Seconds of the windows of a pass, in order.
using Windows = std::vector<std::pair<std::string, double>>;

class Laps;  // the windows while they run

/// A model to measure: from a file, or filled by a hash.
struct MeasuredModel {
  DepthAnything model;
  int version = 2;
  std::string title, hash;
};
MeasuredModel load(const ModelBench& bench);

/// A folder for the photo and the results, that goes with it.
struct Folder {
  std::filesystem::path path;
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

/// One pass of inference as a user runs it, photo by photo and batch by batch.
class Inference {
 public:
  Inference(const Meter& meter, const ModelBench& bench, MeasuredModel loaded);
  ImageSize network() const { return network_; }
  Windows pass();
  /// Encoder and decoder on an input that is on the device, for a graph.
  Work network_work();
  /// Compares the network's result with that of the same model in f64, or in f32 for a smaller
  /// dtype. To be called last: the reference takes more memory than what is measured.
  void compare_with(MeasuredModel reference, Row& row);

 private:
  Tensor prepare(Laps& laps, std::vector<Image8>* kept = nullptr);
  Tensor predict(const Tensor& image, Laps& laps);

  const Meter& meter_;
  const ModelBench& bench_;
  MeasuredModel loaded_;
  Folder folder_;
  std::filesystem::path photo_;
  ImageSize network_;
  MapResize map_resize_;
  OutputSource source_;
  OutputOptions output_;
  Tensor image_, result_;  // of network_work
};

/// A step of training on one random batch, which stays the same.
class Training {
 public:
  Training(const Meter& meter, const ModelBench& bench, MeasuredModel loaded);
  Windows pass();
  /// Forward and backward without the optimizer, for a graph.
  Work gradients_work();

 private:
  Tensor loss();

  const Meter& meter_;
  const ModelBench& bench_;
  MeasuredModel loaded_;
  Optimizer optimizer_;
  Tensor image_, target_, mask_, loss_;
};

}  // namespace fathom::bench
