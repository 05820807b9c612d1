#pragma once

#include <vector>

#include "train/synth/scene_random.h"
#include "train/synth/shape.h"

namespace fathom::synth {

/// Hills without end: a height field over a lattice that repeats, linear between its points.
class Terrain {
 public:
  Terrain() = default;  // a plain at height 0
  /// Hills of about that height in metres; `roughness` 0..1 adds the finer octaves.
  Terrain(SceneRandom& random, float height_m, float roughness);

  float height(float x, float z) const;
  Vec3 normal(float x, float z) const;
  /// The smallest t below limit where a ray from above meets the ground, or limit. Exact: the
  /// ground is bilinear between the lattice points.
  float entry(const Ray& ray, float limit) const;

 private:
  float at(int x, int z) const { return heights_[size_t((z & kMask) * kCells + (x & kMask))]; }

  static constexpr int kCells = 64, kMask = kCells - 1;
  static constexpr float kCellM = 3;
  std::vector<float> heights_ = std::vector<float>(size_t(kCells) * kCells);
  float highest_ = 0;
};

}  // namespace fathom::synth
