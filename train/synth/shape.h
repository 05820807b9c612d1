#pragma once

#include "train/synth/vec3.h"

namespace fathom::synth {

/// A convex solid, turned about its vertical axis. `half` are half extents: of the box, the
/// ellipsoid, the upright cylinder and cone (x: radius, y: half height), and the roof, a prism
/// whose ridge runs along x.
struct Shape {
  enum class Kind { box, ellipsoid, cylinder, cone, roof };
  Kind kind = Kind::box;
  Vec3 center, half;
  Turn turn = {};
  int material = 0;

  /// Of a sphere about the centre that holds the shape.
  float radius() const { return kind == Kind::ellipsoid ? longest() : corner(); }

 private:
  float longest() const { return std::max({half.x, half.y, half.z}); }
  float corner() const {
    const bool round = kind == Kind::cylinder || kind == Kind::cone;
    return length({half.x, half.y, round ? 0 : half.z});
  }
};

/// A ray: points origin + t * direction. The direction need not have length 1.
struct Ray {
  Vec3 origin, direction;
};

/// The smallest t in (kNearest, limit) where the ray enters the shape, or `limit`.
inline constexpr float kNearest = 1e-3f;
float entry(const Shape& shape, const Ray& ray, float limit);

/// Where a point of the surface lies in the shape's own axes, and its outward normal there.
struct LocalPoint {
  Vec3 position, normal;
};
LocalPoint local_point(const Shape& shape, Vec3 point);

/// Whether the ray comes within `radius` of `center` before t = limit; for culling, so it may say
/// yes too often.
inline bool touches(const Ray& ray, float limit, Vec3 center, float radius) {
  const Vec3 to = center - ray.origin;
  const float along = dot(to, ray.direction), square = dot(ray.direction, ray.direction);
  const float reach = radius * radius;
  if (dot(to, to) <= reach) return true;
  if (along <= 0) return false;
  if (dot(to, to) * square - along * along > reach * square) return false;
  const float past = along - limit * square;  // centre beyond the end
  return past <= 0 || past * past <= reach * square;
}

}  // namespace fathom::synth
