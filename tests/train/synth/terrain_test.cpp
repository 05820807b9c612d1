#include "train/synth/terrain.h"

#include "tests/testing.h"

namespace fathom::synth {

TEST_CASE("synth terrain: rays end on the ground and pass through none of it") {
  SceneRandom random(3, 0);
  const Terrain terrain(random, 18, 1);
  constexpr float kLimit = 250;
  int hits = 0, misses = 0;
  for (int i = 0; i < 300; ++i) {
    const float x = random.between(-300, 300), z = random.between(-300, 300);
    const Vec3 level = to_world(random.turn(), {0, 0, 1});
    const Ray ray{{x, terrain.height(x, z) + random.between(0.5f, 5), z},
                  {level.x, random.between(-0.4f, 0.15f), level.z}};
    const float t = terrain.entry(ray, kLimit);
    const auto gap = [&](float at) {
      const Vec3 p = ray.origin + ray.direction * at;
      return p.y - terrain.height(p.x, p.z);
    };
    // Coordinates of 500 m round to 3e-5 m, and slopes below 3 make 1e-4 m of it.
    if (t < kLimit) {
      ++hits;
      CHECK(std::abs(gap(t)) < 1e-3f);
    } else {
      ++misses;
    }
    for (float before = 0.01f; before < t; before += 0.11f) REQUIRE(gap(before) > -1e-3f);
  }
  CHECK(hits > 100);
  CHECK(misses > 10);
}

TEST_CASE("synth terrain: it repeats without a seam") {
  SceneRandom random(4, 0);
  const Terrain terrain(random, 10, 1);
  for (float z = -5; z < 5; z += 0.5f) {
    CHECK(terrain.height(191.99f, z) == Approx(terrain.height(-0.01f, z)).margin(1e-3));
    CHECK(terrain.height(191.99f, z) == Approx(terrain.height(192.01f, z)).margin(0.2));
  }
}

TEST_CASE("synth terrain: without hills it is a plain at height 0") {
  const Terrain terrain;
  CHECK(terrain.height(12.3f, -45.6f) == 0);
  CHECK(terrain.normal(1, 2).y == 1);
  CHECK(terrain.entry({{0, 2, 0}, {0, -0.25f, 1}}, 250) == Approx(8).epsilon(1e-6));
  CHECK(terrain.entry({{0, 2, 0}, {0, 0, 1}}, 250) == 250);
}

}  // namespace fathom::synth
