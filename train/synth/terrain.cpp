#include "train/synth/terrain.h"

#include <limits>

#include "train/synth/material.h"

namespace fathom::synth {

namespace {

// The smallest s >= 0 where a s^2 + b s + c = 0, for c > 0; infinity if there is none.
float first_root(float a, float b, float c) {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  const float square = b * b - 4 * a * c;
  if (square < 0) return kNone;
  const float root = std::sqrt(square);
  // c > 0: a falling parabola has one positive root, a rising one none or two, of which
  // 2c / (-b + root) is the smaller. The same expression gives both without cancellation.
  const float below = root - b;
  return below > 0 ? 2 * c / below : kNone;
}

}  // namespace

Terrain::Terrain(SceneRandom& random, float height_m, float roughness) {
  const float u0 = float(random.below(64)), v0 = float(random.below(64));
  for (int z = 0; z < kCells; ++z)
    for (int x = 0; x < kCells; ++x) {
      float h = 0, weight = 1;
      // Octaves of 4, 8 and 16 lattice cells. Each is blended with itself one grid away, so that
      // the last column joins the first.
      for (const int cells : {4, 8, 16}) {
        const float u = float(x) * float(cells) / kCells, v = float(z) * float(cells) / kCells;
        const float a = u / float(cells), b = v / float(cells), n = float(cells);
        const float near = mix(value_noise(u + u0, v + v0), value_noise(u + u0 - n, v + v0), a),
                    far = mix(value_noise(u + u0, v + v0 - n), value_noise(u + u0 - n, v + v0 - n),
                              a);
        h += weight * mix(near, far, b);
        weight *= 0.5f * roughness;
      }
      heights_[size_t(z * kCells + x)] = height_m * h;
    }
  highest_ = *std::max_element(heights_.begin(), heights_.end());
}

float Terrain::height(float x, float z) const {
  const float u = x / kCellM, v = z / kCellM, left = std::floor(u), below = std::floor(v);
  const int i = int(left), j = int(below);
  const float a = u - left, b = v - below;
  return mix(mix(at(i, j), at(i + 1, j), a), mix(at(i, j + 1), at(i + 1, j + 1), a), b);
}

Vec3 Terrain::normal(float x, float z) const {
  const float d = 0.75f * kCellM;  // wider than a cell, so that its edges do not show
  return normalized(
      {height(x - d, z) - height(x + d, z), 2 * d, height(x, z - d) - height(x, z + d)});
}

// Walks the cells below the ray. Within one the ground is bilinear, so that the gap between ray and
// ground is a parabola in t, whose first root is exact.
float Terrain::entry(const Ray& ray, float limit) const {
  const Vec3 o = ray.origin, d = ray.direction;
  float t = kNearest;
  if (o.y > highest_) {
    if (d.y >= 0) return limit;
    t = std::max(t, (highest_ - o.y) / d.y);
  }
  const float end = d.y > 0 ? std::min(limit, (highest_ - o.y) / d.y) : limit;
  const float u0 = o.x / kCellM, v0 = o.z / kCellM, du = d.x / kCellM, dv = d.z / kCellM;
  int i = int(std::floor(u0 + t * du)), j = int(std::floor(v0 + t * dv));
  while (t < end) {
    // Where the ray leaves the cell.
    const float across = du == 0 ? end : (float(i + (du > 0)) - u0) / du,
                along = dv == 0 ? end : (float(j + (dv > 0)) - v0) / dv;
    const float leave = std::max(t, std::min({across, along, end}));
    const float h00 = at(i, j), h10 = at(i + 1, j), h01 = at(i, j + 1), h11 = at(i + 1, j + 1);
    const float lowest = o.y + d.y * (d.y < 0 ? leave : t);
    if (lowest <= std::max({h00, h10, h01, h11})) {
      const float u = u0 + t * du - float(i), v = v0 + t * dv - float(j);
      const float x = h10 - h00, z = h01 - h00, xz = h11 - h10 - h01 + h00;
      // gap(t + s) = c + b s + a s^2
      const float c = o.y + t * d.y - (h00 + x * u + z * v + xz * u * v);
      const float b = d.y - (x * du + z * dv + xz * (u * dv + v * du)), a = -xz * du * dv;
      const float s = c <= 0 ? 0 : first_root(a, b, c);
      if (s <= leave - t) return std::min(t + s, limit);
    }
    if (leave >= end) break;
    t = leave;
    if (across <= along) i += du > 0 ? 1 : -1;
    if (along <= across) j += dv > 0 ? 1 : -1;
  }
  return limit;
}

}  // namespace fathom::synth
