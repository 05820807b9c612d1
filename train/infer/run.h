#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "models/postprocess.h"
#include "train/infer/outputs.h"
#include "train/infer/plan.h"

namespace fathom {

/// Wall time by stage, in milliseconds, summed over the run. decode and resize run beside the
/// network, on the photos of the next batch, so the stages may add up to more than the total.
struct InferTimings {
  double decode_ms = 0, resize_ms = 0;    // file to pixels; pixels to network input
  double encoder_ms = 0, decoder_ms = 0;  // the network
  double post_ms = 0, write_ms = 0;       // map to photo size; files
  double total_ms = 0;
};

struct InferFailure {
  std::string photo, reason;
};

struct InferReport {
  int64_t photos = 0;   // asked for
  int64_t written = 0;  // complete, sidecar included
  std::vector<InferFailure> failures;
  bool stopped = false;  // by `stop`
  InferTimings timings;
};

struct InferRun {
  const DepthAnything* model = nullptr;
  DType dtype = DType::f32;  // dtype and device of the model
  Device device = kCpu;
  MapResize map_resize = MapResize::bilinear_corners;
  OutputSource source;
  OutputOptions output;
  ImageOptions decode;
  const std::atomic<bool>* stop = nullptr;              // checked between batches and photos
  std::function<void(const InferReport&)> on_progress;  // after every photo
};

/// Runs the network over the plan and writes every result. One bad photo never stops the rest.
InferReport run_inference(const InferRun& run, const InferPlan& plan);

}  // namespace fathom
