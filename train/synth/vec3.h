#pragma once

#include <algorithm>
#include <cmath>

namespace fathom::synth {

/// A point, a direction or a linear RGB colour. World: x right, y up, z forward, in metres.
struct Vec3 {
  float x = 0, y = 0, z = 0;
};

inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator*(Vec3 a, Vec3 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
inline Vec3 operator*(Vec3 a, float k) { return {a.x * k, a.y * k, a.z * k}; }
inline Vec3 operator*(float k, Vec3 a) { return a * k; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline float length(Vec3 a) { return std::sqrt(dot(a, a)); }
inline Vec3 normalized(Vec3 a) { return a * (1 / length(a)); }
inline Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline float mix(float a, float b, float k) { return a + (b - a) * k; }
inline Vec3 mix(Vec3 a, Vec3 b, float k) { return a + (b - a) * k; }
inline float unit_clamp(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

/// A rotation about the vertical axis, by its cosine and sine.
struct Turn {
  float c = 1, s = 0;
};
inline Vec3 to_world(Turn turn, Vec3 p) {
  return {turn.c * p.x + turn.s * p.z, p.y, turn.c * p.z - turn.s * p.x};
}
inline Vec3 to_local(Turn turn, Vec3 p) {
  return {turn.c * p.x - turn.s * p.z, p.y, turn.c * p.z + turn.s * p.x};
}

}  // namespace fathom::synth
