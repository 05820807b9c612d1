#include "train/synth/shape.h"

#include "tests/testing.h"
#include "train/synth/scene_random.h"

namespace fathom::synth {

using Kind = Shape::Kind;

// By the definition of each solid, grown by `margin` of its extents.
static bool inside(const Shape& shape, Vec3 point, float margin) {
  const Vec3 p = to_local(shape.turn, point - shape.center);
  const float x = p.x / shape.half.x, y = p.y / shape.half.y, z = p.z / shape.half.z;
  const float r = std::hypot(p.x, p.z) / shape.half.x, one = 1 + margin;
  switch (shape.kind) {
    case Kind::box: return std::max({std::abs(x), std::abs(y), std::abs(z)}) <= one;
    case Kind::ellipsoid: return x * x + y * y + z * z <= one * one;
    case Kind::cylinder: return r <= one && std::abs(y) <= one;
    case Kind::cone: return r <= (1 - y) / 2 + margin && std::abs(y) <= one;
    case Kind::roof: return std::abs(x) <= one && y >= -one && std::abs(z) + (y + 1) / 2 <= one;
  }
  return false;
}

TEST_CASE("synth shape: rays enter where the solid begins, and normals point outwards") {
  const Kind kind = GENERATE(Kind::box, Kind::ellipsoid, Kind::cylinder, Kind::cone, Kind::roof);
  SceneRandom random(7, uint64_t(kind));
  int hits = 0, misses = 0;
  for (int i = 0; i < 300; ++i) {
    const Shape shape{
        .kind = kind,
        .center = {random.between(-1, 1), random.between(-1, 1), 6},
        .half = {random.between(0.3f, 2), random.between(0.3f, 2), random.between(0.3f, 2)},
        .turn = random.turn()};
    const Ray ray{{0, random.between(-3, 3), 0},
                  {random.between(-0.5f, 0.5f), random.between(-0.5f, 0.5f), 1}};
    constexpr float kLimit = 30;
    const float t = entry(shape, ray, kLimit);
    CHECK((t == kLimit || touches(ray, kLimit, shape.center, shape.radius())));
    // Rounding is near 1e-6 of coordinates of 10 m; a thousandth of an extent is beyond it.
    for (float before = 0; before < t - 0.01f; before += 0.05f)
      REQUIRE(!inside(shape, ray.origin + ray.direction * before, -1e-3f));
    if (t == kLimit) {
      ++misses;
      continue;
    }
    ++hits;
    const Vec3 point = ray.origin + ray.direction * t;
    CHECK(inside(shape, point, 1e-3f));
    CHECK(!inside(shape, point, -1e-3f));
    const LocalPoint local = local_point(shape, point);
    const Vec3 normal = to_world(shape.turn, local.normal);
    CHECK(length(normal) == Approx(1).margin(1e-5));
    CHECK(!inside(shape, point + normal * 0.01f, 1e-4f));
    CHECK(dot(normal, ray.direction) <= 1e-4f);
  }
  CHECK(hits > 30);
  CHECK(misses > 30);
}

TEST_CASE("synth shape: what lies beyond the limit or behind the ray is not met") {
  const Shape ball{.kind = Kind::ellipsoid, .center = {0, 0, 5}, .half = {1, 1, 1}};
  CHECK(entry(ball, {{0, 0, 0}, {0, 0, 1}}, 10) == 4);
  CHECK(entry(ball, {{0, 0, 0}, {0, 0, 1}}, 3) == 3);
  CHECK(entry(ball, {{0, 0, 0}, {0, 0, -1}}, 10) == 10);
  CHECK(entry(ball, {{0, 0, 0}, {0, 0, 2}}, 10) == 2);  // t counts lengths of the direction
}

}  // namespace fathom::synth
