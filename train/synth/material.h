#pragma once

#include "train/synth/scene_random.h"
#include "train/synth/vec3.h"

namespace fathom::synth {

/// Patterns of a surface. The first group is the labeled domain's, the second the shifted one's;
/// facade, road and ground belong to both.
enum class Texture {
  plain,
  checker,
  stripes,
  noise,
  wood,
  bricks,
  // shifted
  marble,
  dots,
  tiles,
  fabric,
  speckle,
  // both
  facade,  // rows of windows
  road,    // along z, with lines
  ground,  // patches of two colours and a third where it is steep
};

struct Material {
  Texture texture = Texture::plain;
  Vec3 a{0.6f, 0.6f, 0.6f}, b{0.3f, 0.3f, 0.3f};  // linear RGB; b is the second colour
  float frequency = 1;                            // cells a metre
  float gloss = 0;                                // strength of a highlight
  float emission = 0;                             // light of its own, times the colour
  float shift_u = 0, shift_v = 0;
};

/// Albedo at a point given in the surface's own axes, in metres. Patterns finer than the footprint
/// of a pixel (metres) fade to their mean, as a camera would average them.
Vec3 albedo(const Material& material, Vec3 position, Vec3 normal, float footprint_m);

/// Smooth noise in 0..1 over a lattice of period 64.
float value_noise(float u, float v);

}  // namespace fathom::synth
