#include "train/synth/shape.h"

namespace fathom::synth {

namespace {

// The part of a ray that is inside all half-spaces seen so far.
struct Interval {
  float enter, leave;
  // Keeps the part where position + t * slope <= 0.
  void clip(float position, float slope) {
    if (slope == 0) {
      if (position > 0) leave = -1;
      return;
    }
    const float t = -position / slope;
    if (slope > 0)
      leave = std::min(leave, t);
    else
      enter = std::max(enter, t);
  }
  void slab(float o, float d, float half) {
    clip(o - half, d);
    clip(-o - half, -d);
  }
  float entry(float limit) const {
    return enter <= leave && enter > kNearest && enter < limit ? enter : limit;
  }
};

constexpr float kFarthest = 1e9f;

// Keeps the part where a t^2 + 2 b t + c <= 0, for a > 0.
void clip_quadric(Interval& inside, float a, float b, float c) {
  const float root = b * b - a * c;
  if (root <= 0) {
    inside.leave = -1;
    return;
  }
  const float s = std::sqrt(root);
  inside.enter = std::max(inside.enter, (-b - s) / a);
  inside.leave = std::min(inside.leave, (-b + s) / a);
}

float box_entry(Vec3 o, Vec3 d, Vec3 half, float limit) {
  Interval inside{-kFarthest, kFarthest};
  inside.slab(o.x, d.x, half.x);
  inside.slab(o.y, d.y, half.y);
  inside.slab(o.z, d.z, half.z);
  return inside.entry(limit);
}

float ellipsoid_entry(Vec3 o, Vec3 d, Vec3 half, float limit) {
  const Vec3 scale{1 / half.x, 1 / half.y, 1 / half.z}, p = o * scale, q = d * scale;
  Interval inside{-kFarthest, kFarthest};
  clip_quadric(inside, dot(q, q), dot(p, q), dot(p, p) - 1);
  return inside.entry(limit);
}

float cylinder_entry(Vec3 o, Vec3 d, Vec3 half, float limit) {
  Interval inside{-kFarthest, kFarthest};
  inside.slab(o.y, d.y, half.y);
  const float a = d.x * d.x + d.z * d.z, c = o.x * o.x + o.z * o.z - half.x * half.x;
  if (a > 0)
    clip_quadric(inside, a, o.x * d.x + o.z * d.z, c);
  else if (c > 0)
    return limit;
  return inside.entry(limit);
}

// The side is x^2 + z^2 = (k (top - y))^2. Its quadric has a second, upper half, so roots are
// tested one by one instead of clipped.
float cone_entry(Vec3 o, Vec3 d, Vec3 half, float limit) {
  const float k = half.x / (2 * half.y), h = half.y - o.y;
  const float a = d.x * d.x + d.z * d.z - k * k * d.y * d.y,
              b = o.x * d.x + o.z * d.z + k * k * h * d.y,
              c = o.x * o.x + o.z * o.z - k * k * h * h;
  float best = limit;
  const auto consider = [&](float t) {
    const float y = o.y + t * d.y;
    if (t > kNearest && t < best && y >= -half.y && y <= half.y) best = t;
  };
  const float root = b * b - a * c;
  if (root > 0 && a != 0) {
    const float s = std::sqrt(root);
    consider((-b - s) / a);
    consider((-b + s) / a);
  }
  if (d.y != 0) {
    const float t = (-half.y - o.y) / d.y, x = o.x + t * d.x, z = o.z + t * d.z;
    if (t > kNearest && t < best && x * x + z * z <= half.x * half.x) best = t;
  }
  return best;
}

float roof_entry(Vec3 o, Vec3 d, Vec3 half, float limit) {
  Interval inside{-kFarthest, kFarthest};
  inside.slab(o.x, d.x, half.x);
  inside.clip(-o.y - half.y, -d.y);
  // Slopes: |z| / half.z + (y + half.y) / (2 half.y) <= 1.
  const float iz = 1 / half.z, iy = 0.5f / half.y;
  inside.clip(o.z * iz + o.y * iy - 0.5f, d.z * iz + d.y * iy);
  inside.clip(-o.z * iz + o.y * iy - 0.5f, -d.z * iz + d.y * iy);
  return inside.entry(limit);
}

float sign_of(float x) { return x < 0 ? -1.0f : 1.0f; }

// The face of a box that a point of its surface lies on.
Vec3 box_normal(Vec3 p, Vec3 half) {
  const float x = std::abs(p.x) - half.x, y = std::abs(p.y) - half.y, z = std::abs(p.z) - half.z;
  if (x >= y && x >= z) return {sign_of(p.x), 0, 0};
  if (y >= z) return {0, sign_of(p.y), 0};
  return {0, 0, sign_of(p.z)};
}

Vec3 normal_at(const Shape& shape, Vec3 p) {
  const Vec3 half = shape.half;
  switch (shape.kind) {
    case Shape::Kind::box: return box_normal(p, half);
    case Shape::Kind::ellipsoid:
      return normalized(
          {p.x / (half.x * half.x), p.y / (half.y * half.y), p.z / (half.z * half.z)});
    case Shape::Kind::cylinder: {
      const float across = std::sqrt(p.x * p.x + p.z * p.z);
      if (std::abs(p.y) - half.y > across - half.x) return {0, sign_of(p.y), 0};
      return {p.x / across, 0, p.z / across};
    }
    case Shape::Kind::cone: {
      const float k = half.x / (2 * half.y), across = std::sqrt(p.x * p.x + p.z * p.z);
      if (-half.y - p.y > across - k * (half.y - p.y)) return {0, -1, 0};
      return normalized({p.x, k * across, p.z});
    }
    case Shape::Kind::roof: {
      const float slope = std::abs(p.z) / half.z + 0.5f * p.y / half.y - 0.5f;
      const float end = (std::abs(p.x) - half.x) / half.z, floor = (-half.y - p.y) / half.y;
      if (end >= slope && end >= floor) return {sign_of(p.x), 0, 0};
      if (floor >= slope) return {0, -1, 0};
      return normalized({0, 0.5f / half.y, sign_of(p.z) / half.z});
    }
  }
  return {0, 1, 0};
}

}  // namespace

float entry(const Shape& shape, const Ray& ray, float limit) {
  const Vec3 o = to_local(shape.turn, ray.origin - shape.center),
             d = to_local(shape.turn, ray.direction);
  switch (shape.kind) {
    case Shape::Kind::box: return box_entry(o, d, shape.half, limit);
    case Shape::Kind::ellipsoid: return ellipsoid_entry(o, d, shape.half, limit);
    case Shape::Kind::cylinder: return cylinder_entry(o, d, shape.half, limit);
    case Shape::Kind::cone: return cone_entry(o, d, shape.half, limit);
    case Shape::Kind::roof: return roof_entry(o, d, shape.half, limit);
  }
  return limit;
}

LocalPoint local_point(const Shape& shape, Vec3 point) {
  const Vec3 p = to_local(shape.turn, point - shape.center);
  return {p, normal_at(shape, p)};
}

}  // namespace fathom::synth
