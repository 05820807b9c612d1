#pragma once

#include <cstdint>
#include <vector>

#include "train/synth/world.h"

namespace fathom::synth {

/// A photo and its truth, row-major. depth_m is exact: metres along the optical axis through the
/// centre of each pixel, infinity where the sky is.
struct SynthImage {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb = {};    // [height, width, 3]
  std::vector<float> depth_m = {};  // [height, width]
};

/// Whatever is farther along the optical axis is sky.
inline constexpr float kFarthestM = 250;

/// Casts a ray a pixel. `noise_key` names the stream of the sensor's noise.
SynthImage render(const World& world, int64_t height, int64_t width, uint64_t noise_key = 0);

struct SynthOptions {
  int64_t height = 98, width = 98;
  Domain domain = Domain::labeled;
  uint64_t seed = 0;
};

/// The scene number `index`. Depends on nothing but the arguments.
SynthImage render_scene(const SynthOptions& options, uint64_t index);

}  // namespace fathom::synth
