#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/depth_anything.h"
#include "train/data/manifest.h"
#include "train/eval/compare.h"

namespace fathom {

/// Why an image has no result.
enum class SkipReason {
  no_truth,        // the manifest names none, or it cannot be read or is invalid everywhere
  no_prediction,   // the photo or the predicted map is missing or damaged
  wrong_size,      // prediction and truth do not show the same view, or a crop does not fit
  no_valid_pixel,  // nothing lies within the limits and the crop of the protocol
};
/// "no_truth", "no_prediction", "wrong_size" or "no_valid_pixel".
std::string name_of(SkipReason reason);

struct SkippedImage {
  std::string image;
  SkipReason reason;
  std::string detail;  // names the file
};

struct ImageResult {
  std::string image, dataset;
  Comparison comparison;
};

struct EvalResult {
  std::vector<ImageResult> compared;
  std::vector<SkippedImage> skipped;
  DepthMetrics disparity, depth;  // means over the images compared
  bool stopped = false;           // by `stop`: the rest was not looked at
};

/// A predicted map, and the size of the picture that it covers, whose shape must be the truth's.
struct Prediction {
  FloatMap map;
  ImageSize covers;
};
/// Throws Error for an image that has none.
using Predictor = std::function<Prediction(const FileStore&, const ManifestEntry&)>;

struct EvalOptions {
  DepthKind kind = DepthKind::relative;
  EvalProtocol protocol = {};
  std::string split = {};  // of the manifests; empty: all
  int64_t limit = 0;       // images, the first ones; 0: all
  const std::atomic<bool>* stop = nullptr;
  std::function<void(int64_t done, int64_t images)> on_progress = {};
};

/// Compares the prediction of every image with its truth, image by image, and averages. Images
/// that cannot be compared are named and left out.
/// Throws Error when none could be compared, or the protocol does not suit the predictions.
EvalResult evaluate(const std::vector<std::filesystem::path>& manifests, const Predictor& predict,
                    const EvalOptions& options);

/// Predicts with a model, which must outlive the function. size: target of the shorter side of the
/// network's input. kb_crop: photos are cut as KITTI's benchmark has it.
Predictor model_predictor(const DepthAnything& model, int64_t size, bool kb_crop);

/// The truth: [H, W] metres, or the inverse of a relative disparity; 0 where it is not known.
FloatMap true_depth(const FileStore& files, const ManifestEntry& entry);

/// The network's map of a photo, of the size of the network's input, computed where the model is
/// and in its dtype. No gradients are recorded.
FloatMap predict_map(const DepthAnything& model, const Image8& photo, int64_t size);

}  // namespace fathom
