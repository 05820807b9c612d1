#include "train/infer/plan.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "core/error.h"
#include "kernels/cpu/conv.h"

namespace fathom {

ImageSize network_size(ImageSize photo, const InputOptions& options) {
  const ImageSize size = input_size(photo, options.size, options.rule);
  const int64_t pixels = size.height * size.width;
  if (options.max_pixels <= 0 || pixels <= options.max_pixels) return size;
  const double shrink = std::sqrt(double(options.max_pixels) / double(pixels));
  const auto down = [&](int64_t side) {
    return std::max<int64_t>(14, int64_t(double(side) * shrink / 14) * 14);
  };
  return {down(size.height), down(size.width)};
}

int64_t estimate_inference_bytes(const DepthAnythingConfig& config, DType dtype, int64_t batch,
                                 ImageSize network, Device device) {
  const Dinov2Config& e = config.encoder;
  const auto& c = config.head.out_channels;
  const int64_t h = network.height / e.patch, w = network.width / e.patch, P = h * w;
  const int64_t N = P + 1 + e.registers, D = e.channels, F = config.head.features;

  const int64_t ffn = (e.swiglu ? 3 : 2) * e.hidden * D;
  const int64_t block = 4 * D * D + ffn;
  const auto conv3x3 = [&](int64_t in, int64_t out) {  // packed, see kernels/cpu/conv.h
    return device == kCpu && dtype == DType::f32 ? cpu::packed_conv_size<float>(out, in)
                                                 : 9 * in * out;
  };
  int64_t decoder = D * (c[0] + c[1] + c[2] + c[3]) + 16 * c[0] * c[0] + 4 * c[1] * c[1] +
                    9 * c[3] * c[3] + 4 * F * F + 16 * conv3x3(F, F) + conv3x3(F, F / 2) +
                    conv3x3(F / 2, 32);
  for (const int64_t channels : c) decoder += conv3x3(channels, F);
  const int64_t weights =
      e.layers * (block + 15 * D) + (3 * 14 * 14 + e.table * e.table) * D + decoder;

  // Elements alive at once. Encoder: x, its norm and a result, beside the feed-forward's hidden
  // layer or attention's q, k, v with keys and values packed; and the taps so far. Decoder, on its
  // finest level: the map enlarged four times, as blocks and in order, beside the path; then a
  // residual unit's lateral, path, inner map and result; then the last stage.
  const int64_t hidden = (e.swiglu ? 3 : 1) * e.hidden;
  const int64_t encoder = N * (3 * D + std::max(hidden, 6 * D)) + 4 * P * D;
  const int64_t reassemble = P * (D + 32 * c[0] + 16 * F);
  const int64_t fusion = 4 * 16 * P * F;
  const int64_t tail = 16 * P * F + 32 * P * F + 196 * P;
  const int64_t image = 3 * 196 * P;  // in f32 for this batch and the next, and in dtype
  if (device != kCpu) {
    // Less is fused there: LayerScale is folded into a copy of a weight, GELU has a result of its
    // own; a resized map, its columns and the hidden map of the head exist. Columns are those of
    // one image, or what kernels/cuda/conv2d.cpp allows. Blocks and segments are rounded up.
    const int64_t apart = N * (3 * D + std::max(2 * hidden, 4 * D)) + 4 * P * D;
    const int64_t maps = std::max<int64_t>(
        {apart, reassemble, 6 * 16 * P * F, 130 * P * F + 2 * 32 * 196 * P + 2 * 196 * P});
    const int64_t columns =
        std::max<int64_t>(std::max(882 * P * F, e.hidden * D) * size_of(dtype), 256 << 20);
    constexpr int64_t kWorkspace = 32 << 20, kSegments = 64 << 20;
    return (weights + batch * maps) * size_of(dtype) / 10 * 11 +
           batch * image * (4 + size_of(dtype)) + columns + kWorkspace + kSegments;
  }
  // Strips of the threads, weights rounded up to whole panels, the resized position table.
  constexpr int64_t kScratch = 4 << 20;
  const int64_t activations = batch * std::max({encoder, reassemble, fusion, tail});
  return (weights + activations) * size_of(dtype) + batch * image * (8 + size_of(dtype)) + kScratch;
}

InferPlan plan_inference(const std::vector<InferInput>& inputs, const DepthAnythingConfig& config,
                         DType dtype, int64_t batch, const InputOptions& options) {
  InferPlan plan;
  const int64_t limit = options.memory_limit_bytes;
  std::map<std::pair<int64_t, int64_t>, size_t> open;  // network size -> batch being filled
  for (const InferInput& input : inputs) {
    try {
      PlannedPhoto planned{input, read_image_size(input.photo, options.decode), {}, 0};
      planned.network = network_size(planned.photo, options);
      const auto [H, W] = planned.network;
      planned.estimate_bytes =
          estimate_inference_bytes(config, dtype, 1, planned.network, options.device);
      check(limit == 0 || planned.estimate_bytes <= limit, input.photo.string(), ": ",
            planned.photo.height, " x ", planned.photo.width, " becomes a network input of ", H,
            " x ", W, ", which needs about ", planned.estimate_bytes >> 20, " MiB, but ",
            limit >> 20, " MiB may be used; lower --size, or cap the input with --max-pixels ",
            H * W / 2);
      const auto key = std::pair(H, W);
      const auto it = open.find(key);
      const int64_t together = it == open.end() ? 1 : int64_t(plan.batches[it->second].size()) + 1;
      const int64_t bytes =
          estimate_inference_bytes(config, dtype, together, planned.network, options.device);
      const bool fits = together <= batch && (limit == 0 || bytes <= limit);
      if (it == open.end() || !fits) {
        open[key] = plan.batches.size();
        plan.batches.push_back({planned});
        plan.peak_bytes = std::max(plan.peak_bytes, planned.estimate_bytes);
      } else {
        plan.batches[it->second].push_back(planned);
        plan.peak_bytes = std::max(plan.peak_bytes, bytes);
      }
    } catch (const Error& error) {
      plan.refused.push_back({input, error.what()});
    }
  }
  return plan;
}

// The number in a one-line file, or 0 ("max" and missing files too).
static int64_t number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : 0;
}

int64_t available_memory_bytes() {
  int64_t available = 0;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, unit; meminfo >> key;) {
    int64_t kib = 0;
    meminfo >> kib;
    std::getline(meminfo, unit);
    if (key == "MemAvailable:") available = kib * 1024;
  }
  const int64_t v2 = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (v2 > 0) available = std::min(available, std::max<int64_t>(1, v2 - used));
  return available;
}

}  // namespace fathom
