#include "train/synth/world.h"

#include "tests/testing.h"

namespace fathom::synth {

TEST_CASE("synth world: the domains share no pattern of their own") {
  const auto belongs = [](Texture texture, Domain domain) {
    switch (texture) {
      case Texture::checker:
      case Texture::stripes:
      case Texture::wood:
      case Texture::bricks:
      case Texture::ground: return domain == Domain::labeled;
      case Texture::marble:
      case Texture::dots:
      case Texture::tiles:
      case Texture::fabric:
      case Texture::speckle: return domain == Domain::real;
      default: return true;
    }
  };
  for (const Domain domain : {Domain::labeled, Domain::real})
    for (uint64_t i = 0; i < 60; ++i)
      for (const Material& material : make_world(domain, 2, i).materials)
        CHECK(belongs(material.texture, domain));
}

TEST_CASE("synth world: only the shifted domain has a lens and a sensor") {
  for (uint64_t i = 0; i < 20; ++i) {
    const Sensor clean = make_world(Domain::labeled, 2, i).sensor,
                 real = make_world(Domain::real, 2, i).sensor;
    CHECK((clean.blur == 0 && clean.vignette == 0 && clean.read_noise == 0 && clean.cast.x == 1));
    CHECK((real.vignette > 0 && real.read_noise > 0));
  }
}

TEST_CASE("synth world: rooms, landscapes and streets come, and the camera is free") {
  int rooms = 0, streets = 0, landscapes = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const World world = make_world(Domain::labeled, 9, i);
    ++(world.indoors ? rooms : world.road >= 0 ? streets : landscapes);
    const Vec3 eye = world.camera.position;
    if (world.indoors) {
      const Room& room = world.room;
      CHECK((eye.x > room.low.x && eye.x < room.high.x && eye.y > 0 && eye.y < room.high.y));
      CHECK((eye.z > room.low.z && eye.z < room.high.z));
    } else {
      CHECK(eye.y > world.terrain.height(eye.x, eye.z) + 1);
    }
    for (const Shape& shape : world.shapes) {
      CHECK(size_t(shape.material) < world.materials.size());
      const Vec3 p = to_local(shape.turn, eye - shape.center);
      CHECK((std::abs(p.x) > shape.half.x || std::abs(p.y) > shape.half.y ||
             std::abs(p.z) > shape.half.z));
    }
  }
  // Shares of 0.5, 0.3 and 0.2; five standard deviations of the binomial are at most 36.
  CHECK(std::abs(rooms - 100) < 36);
  CHECK(std::abs(landscapes - 60) < 36);
  CHECK(std::abs(streets - 40) < 36);
}

}  // namespace fathom::synth
