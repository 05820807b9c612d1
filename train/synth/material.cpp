#include "train/synth/material.h"

#include <array>

namespace fathom::synth {

namespace {

constexpr int kLattice = 64;

const std::array<float, kLattice * kLattice>& lattice() {
  static const auto table = [] {
    std::array<float, kLattice * kLattice> values{};
    SceneRandom random(0x6c617474696365, 0);
    for (float& value : values) value = random.between(0, 1);
    return values;
  }();
  return table;
}

struct Cell {
  int index;
  float part;  // 0..1 within
};

Cell cell_of(float x) {
  const float below = std::floor(x);
  return {int(below), x - below};
}

float lattice_at(const float* table, int x, int y) {
  return table[(y & (kLattice - 1)) * kLattice + (x & (kLattice - 1))];
}

// A random number of a cell.
float cell_random(int x, int y) { return lattice_at(lattice().data(), x * 7 + 3, y * 5 + x); }

float smooth(float t) { return t * t * (3 - 2 * t); }
float triangle_wave(float x) { return std::abs(2 * cell_of(x).part - 1); }

// How far `part` of a cell is from its border, scaled to 1 within `width` of it.
bool on_border(Cell u, Cell v, float width) { return u.part < width || v.part < width; }

// The share of the second colour, and the mean that it fades to.
struct Pattern {
  float share, mean;
};

Pattern pattern(Texture texture, float u, float v) {
  switch (texture) {
    case Texture::plain: return {0, 0};
    case Texture::checker: return {float((cell_of(u).index + cell_of(v).index) & 1), 0.5f};
    case Texture::stripes: return {cell_of(u).part < 0.5f ? 1.0f : 0.0f, 0.5f};
    case Texture::noise:
      return {
          unit_clamp(1.6f * (0.6f * value_noise(u, v) + 0.4f * value_noise(3.1f * u, 2.9f * v)) -
                     0.3f),
          0.5f};
    case Texture::wood: {  // planks along u, with grain
      const Cell plank = cell_of(v);
      const float grain = value_noise(0.7f * u + 17.3f * float(plank.index), 9 * v);
      const float gap = plank.part < 0.06f ? 0.5f : 0;
      return {unit_clamp(0.5f * grain + 0.5f * cell_random(plank.index, 1) + gap), 0.5f};
    }
    case Texture::bricks: {
      const Cell row = cell_of(2 * v), column = cell_of(u + 0.5f * float(row.index & 1));
      if (row.part < 0.14f || column.part < 0.07f) return {1, 0.36f};
      return {0.4f * cell_random(column.index, row.index), 0.36f};
    }
    case Texture::marble:
      return {smooth(triangle_wave(0.6f * u + 1.8f * value_noise(u, v) +
                                   0.7f * value_noise(2.7f * u, 2.7f * v))),
              0.5f};
    case Texture::dots: {
      const Cell row = cell_of(v), column = cell_of(u + 0.5f * float(row.index & 1));
      const float x = column.part - 0.5f, y = row.part - 0.5f;
      return {x * x + y * y < 0.09f ? 1.0f : 0.0f, 0.28f};
    }
    case Texture::tiles: {
      const Cell x = cell_of(u), y = cell_of(v);
      if (on_border(x, y, 0.06f)) return {1, 0.33f};
      return {0.5f * cell_random(x.index, y.index), 0.33f};
    }
    case Texture::fabric: return {0.5f * triangle_wave(u) + 0.5f * triangle_wave(v), 0.5f};
    case Texture::speckle: {
      const float x = cell_random(cell_of(u).index, cell_of(v).index);
      return {x * x, 0.33f};
    }
    case Texture::facade: {
      const Cell x = cell_of(u), y = cell_of(v);
      const bool window = x.part > 0.25f && x.part < 0.75f && y.part > 0.25f && y.part < 0.8f;
      return {window ? 0.7f + 0.3f * cell_random(x.index, y.index) : 0, 0.23f};
    }
    case Texture::road: {  // u across the road, 0 in its middle; v along, in metres
      const float across = std::abs(u);
      const bool line =
          (across < 0.08f && cell_of(v / 4).part < 0.5f) || (across > 2.9f && across < 3.05f);
      return {line ? 1 : 0.08f * value_noise(2 * u, 2 * v), 0.05f};
    }
    case Texture::ground: return {smooth(unit_clamp(2 * value_noise(u, v) - 0.5f)), 0.5f};
  }
  return {0, 0};
}

}  // namespace

float value_noise(float u, float v) {
  const float* table = lattice().data();
  const Cell x = cell_of(u), y = cell_of(v);
  const float a = smooth(x.part), b = smooth(y.part);
  const float top = mix(lattice_at(table, x.index, y.index),
                        lattice_at(table, x.index + 1, y.index), a),
              bottom = mix(lattice_at(table, x.index, y.index + 1),
                           lattice_at(table, x.index + 1, y.index + 1), a);
  return mix(top, bottom, b);
}

Vec3 albedo(const Material& material, Vec3 position, Vec3 normal, float footprint_m) {
  if (material.texture == Texture::plain) return material.a;
  // Seen along the axis that the surface faces most.
  const float x = std::abs(normal.x), y = std::abs(normal.y), z = std::abs(normal.z);
  float u = position.x, v = position.y;
  if (y >= x && y >= z)
    v = position.z;
  else if (x >= z)
    u = position.z;
  u = u * material.frequency + material.shift_u;
  v = v * material.frequency + material.shift_v;
  const Pattern p = pattern(material.texture, u, v);
  const float cell_pixels = 1 / (material.frequency * footprint_m);
  const float contrast = unit_clamp((cell_pixels - 1) / 2);
  return mix(material.a, material.b, mix(p.mean, p.share, contrast));
}

}  // namespace fathom::synth
