#pragma once

#include "tests/models/hash_fill.h"

namespace fathom {

/// A small model with the shape of the real ones, hash-filled, so that a run takes milliseconds.
inline DepthAnything tiny_model(DepthKind kind = DepthKind::relative) {
  DepthAnything model({.encoder = {.channels = 64, .layers = 4, .heads = 1, .hidden = 128},
                       .head = {.features = 16, .out_channels = {16, 16, 16, 16}},
                       .taps = {0, 1, 2, 3},
                       .kind = kind,
                       .max_depth_m = kind == DepthKind::metric ? 20.0 : 1.0});
  fill_with_hash(model, kind == DepthKind::relative ? 4 : 0);
  return model;
}

}  // namespace fathom
