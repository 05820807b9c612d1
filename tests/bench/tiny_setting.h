#pragma once

#include "bench/bench.h"

namespace fathom::bench {

/// A model small enough that every entry runs in a test.
inline Setting tiny_setting(int64_t height, int64_t width, int64_t batch) {
  Setting tiny{depth_anything_config(2, ModelSize::S), "S", height, width, batch};
  tiny.model.encoder.channels = 64;
  tiny.model.encoder.hidden = 256;
  tiny.model.encoder.heads = 1;
  tiny.model.encoder.layers = 1;
  tiny.model.head = {.features = 16, .out_channels = {16, 16, 32, 48}};
  return tiny;
}

}  // namespace fathom::bench
