#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/image.h"
#include "models/depth_anything.h"
#include "models/preprocess.h"
#include "train/infer/inputs.h"

namespace fathom {

/// How photos become network inputs.
struct InputOptions {
  int size = 518;  // target of the shorter side, in pixels
  SizeRule rule = SizeRule::lower_bound;
  int64_t max_pixels = 0;          // a larger network input is scaled down to it; 0: never
  int64_t memory_limit_bytes = 0;  // estimated peak above it: refused; 0: no limit
  Device device = kCpu;            // where the network runs, and whose memory is limited
  ImageOptions decode = {};
};

/// One photo with its place in the run.
struct PlannedPhoto {
  InferInput input;
  ImageSize photo, network;
  int64_t estimate_bytes = 0;  // of a batch of one
};

struct RefusedPhoto {
  InferInput input;
  std::string reason;
};

/// Photos of the same network size, at most `batch` together.
struct InferPlan {
  std::vector<std::vector<PlannedPhoto>> batches;
  std::vector<RefusedPhoto> refused;  // unreadable, or too large for the memory
  int64_t peak_bytes = 0;             // largest estimate of a batch, weights included
};

/// The network size for a photo: the size rule, then the pixel cap (multiples of 14, ratio kept as
/// far as they allow).
ImageSize network_size(ImageSize photo, const InputOptions& options);

/// Peak bytes of tensors in a forward pass without gradients, weights included: the larger of the
/// encoder's and the decoder's working sets. An upper bound, on the CPU within a quarter of the
/// measured peak.
int64_t estimate_inference_bytes(const DepthAnythingConfig& config, DType dtype, int64_t batch,
                                 ImageSize network, Device device = kCpu);

/// Reads the size of every photo and groups them. Batches come in the order of their first photo.
/// A batch that would not fit the memory limit is split; a single photo that does not is refused.
InferPlan plan_inference(const std::vector<InferInput>& inputs, const DepthAnythingConfig& config,
                         DType dtype, int64_t batch, const InputOptions& options);

/// Memory that this process may still take: what the system calls available, bounded by the
/// cgroup's limit. 0 when neither is known.
int64_t available_memory_bytes();

}  // namespace fathom
