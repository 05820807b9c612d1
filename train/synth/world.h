#pragma once

#include <array>
#include <vector>

#include "train/synth/material.h"
#include "train/synth/shape.h"
#include "train/synth/terrain.h"

namespace fathom::synth {

/// What a set of scenes looks like. Both have the same kinds of geometry.
enum class Domain : uint8_t {
  labeled,  // clean pictures
  real,     // other textures and lighting, and what a lens and a sensor add
};

/// A pinhole camera: turned up by `pitch`, then about the vertical by `yaw`; at first it looks
/// along z. `half_width` is the tangent of half the angle of the longer side.
struct Camera {
  Vec3 position;
  Turn yaw = {}, pitch = {};
  float half_width = 0.7f;
};

/// One light, a point or the sun, and what comes from everywhere.
struct Light {
  bool sun = false, shadows = true;
  Vec3 at{0, 1, 0};  // the point, or the direction towards the sun, of length 1
  Vec3 color{0.8f, 0.8f, 0.8f}, ambient{0.3f, 0.3f, 0.3f};
};

struct Sky {
  Vec3 low{0.8f, 0.85f, 0.9f}, high{0.25f, 0.45f, 0.8f};  // at the horizon and above
  float clouds = 0, shift = 0;
  float fog = 0;  // a metre; fog has the colour of the horizon
};

/// The inside of a box. Materials: of the walls at low and high x, of floor and ceiling, of the
/// walls at low and high z.
struct Room {
  Vec3 low, high;
  std::array<int, 6> materials{};
};

/// What a lens and a sensor make of the light; nothing by default.
struct Sensor {
  Vec3 cast{1, 1, 1};                    // gain of each channel
  float vignette = 0;                    // light lost in the corners, 0..1
  int blur = 0;                          // passes of a 3 x 3 binomial filter
  float read_noise = 0, shot_noise = 0;  // standard deviations of linear light, at 0 and added at 1
};

/// A scene: a room, or ground under a sky, with solids.
struct World {
  Camera camera;
  Light light;
  Sky sky;
  Sensor sensor;
  bool indoors = false;
  Room room;        // indoors
  Terrain terrain;  // outdoors
  int ground = 0;   // its material
  int road = -1;    // not -1: the material within kRoadHalfM of x = 0
  std::vector<Shape> shapes;
  std::vector<Material> materials{Material{}};
};
inline constexpr float kRoadHalfM = 3.4f;

/// The scene number `index`: a room, a landscape or a street. Depends on nothing but the arguments;
/// the domains draw from streams of their own.
World make_world(Domain domain, uint64_t seed, uint64_t index);

}  // namespace fathom::synth
