#include "train/synth/world.h"

namespace fathom::synth {

namespace {

using Kind = Shape::Kind;

// Chooses looks. It has a stream of its own, so that the domain changes no geometry.
class Painter {
 public:
  Painter(World& world, Domain domain, uint64_t key)
      : world_(world), domain_(domain), random_(key, 1) {}

  SceneRandom& random() { return random_; }
  bool shifted() const { return domain_ == Domain::real; }

  int add(const Material& material) {
    world_.materials.push_back(material);
    return int(world_.materials.size()) - 1;
  }

  /// Any colour and pattern of the domain, with cells of about that size.
  int paint(float cell_m) {
    static constexpr Texture kClean[] = {Texture::plain, Texture::checker, Texture::stripes,
                                         Texture::noise, Texture::wood,    Texture::bricks,
                                         Texture::plain};
    static constexpr Texture kShifted[] = {Texture::marble, Texture::dots,    Texture::tiles,
                                           Texture::fabric, Texture::speckle, Texture::plain};
    Material m;
    m.texture = shifted() ? kShifted[random_.below(6)] : kClean[random_.below(7)];
    const float lightness = random_.between(0.15f, 0.75f);
    const float chroma = shifted() ? random_.between(0.1f, 0.9f) : random_.between(0.1f, 0.6f);
    m.a = random_.color(lightness, chroma);
    const float other = lightness * random_.between(0.35f, 0.75f);
    m.b = random_.chance(0.7f) ? random_.color(other, chroma) : m.a * 0.6f;
    m.frequency = random_.between(0.6f, 1.6f) / cell_m;
    m.gloss = random_.chance(0.3f) ? random_.between(0.1f, 0.5f) : 0;
    m.shift_u = random_.between(0, 8);
    m.shift_v = random_.between(0, 8);
    return add(m);
  }

  int plain(Vec3 color) { return add({.a = vary(color)}); }
  int mottled(Texture texture, Vec3 a, Vec3 b, float cell_m) {
    return add({.texture = texture, .a = vary(a), .b = vary(b), .frequency = 1 / cell_m});
  }
  Vec3 vary(Vec3 color) {
    const float k = random_.between(0.75f, 1.25f);
    const float chroma = shifted() ? 0.35f : 0.15f;
    return color * random_.color(0.8f, chroma) * (k / 0.8f);
  }

 private:
  World& world_;
  Domain domain_;
  SceneRandom random_;
};

void add(World& world, Kind kind, Vec3 center, Vec3 half, Turn turn, int material) {
  world.shapes.push_back({kind, center, half, turn, material});
}

// Circles on the floor that are taken.
class Places {
 public:
  bool take(float x, float z, float radius) {
    for (const Circle& c : taken_) {
      const float dx = x - c.x, dz = z - c.z, apart = radius + c.radius;
      if (dx * dx + dz * dz < apart * apart) return false;
    }
    taken_.push_back({x, z, radius});
    return true;
  }

 private:
  struct Circle {
    float x, z, radius;
  };
  std::vector<Circle> taken_;
};

// --- rooms -------------------------------------------------------------------------------------

void add_table(World& world, SceneRandom& random, Painter& painter, float x, float z, float half_m,
               Turn turn) {
  const float top = random.between(0.45f, 0.85f), deep = half_m * random.between(0.5f, 0.75f);
  const float wide = half_m * 0.8f;
  const int wood = painter.paint(0.25f), legs = painter.paint(0.1f);
  add(world, Kind::box, {x, top, z}, {wide, 0.03f, deep}, turn, wood);
  for (const float sx : {-1.0f, 1.0f})
    for (const float sz : {-1.0f, 1.0f}) {
      const Vec3 at = to_world(turn, {sx * (wide - 0.06f), 0, sz * (deep - 0.06f)});
      add(world, Kind::cylinder, {x + at.x, top / 2, z + at.z}, {0.035f, top / 2, 0.035f}, turn,
          legs);
    }
  if (random.chance(0.6f)) {
    const float r = random.between(0.08f, 0.18f);
    const Kind kind = random.chance(0.5f) ? Kind::ellipsoid : Kind::cylinder;
    add(world, kind, {x, top + 0.03f + r, z}, {r, r, r}, turn, painter.paint(0.1f));
  }
}

void add_furniture(World& world, SceneRandom& random, Painter& painter, float x, float z,
                   float radius_m) {
  const float room_height = world.room.high.y;
  const Turn turn = random.chance(0.5f) ? Turn{} : random.turn();
  const float half = radius_m * 0.7f;
  switch (random.below(6)) {
    case 0: add_table(world, random, painter, x, z, radius_m, turn); return;
    case 1: {  // a ball
      const float r = half * random.between(0.5f, 0.9f);
      add(world, Kind::ellipsoid, {x, r, z}, {r, r, r}, turn, painter.paint(0.25f));
      return;
    }
    case 2: {  // a column or a drum
      const float h = random.chance(0.25f) ? room_height / 2 : random.between(0.15f, 0.6f);
      const float r = half * random.between(0.4f, 0.8f);
      add(world, Kind::cylinder, {x, h, z}, {r, h, r}, turn, painter.paint(0.25f));
      return;
    }
    case 3: {
      const float h = random.between(0.2f, 0.6f), r = half * random.between(0.6f, 1.0f);
      add(world, Kind::cone, {x, h, z}, {r, h, r}, turn, painter.paint(0.2f));
      return;
    }
    default: {  // a box, perhaps with something on it
      const float h = random.between(0.15f, 0.45f * room_height);
      const float w = half * random.between(0.5f, 1.0f), d = half * random.between(0.5f, 1.0f);
      add(world, Kind::box, {x, h, z}, {w, h, d}, turn, painter.paint(0.3f));
      if (random.chance(0.5f) && h < 0.6f) {
        const float r = std::min(w, d) * random.between(0.4f, 0.8f);
        const Kind kinds[] = {Kind::ellipsoid, Kind::box, Kind::cylinder, Kind::cone};
        add(world, kinds[random.below(4)], {x, 2 * h + r, z}, {r, r, r}, random.turn(),
            painter.paint(0.15f));
      }
    }
  }
}

// Thin boxes against the walls that the camera sees: pictures, doors, windows.
void add_hangings(World& world, SceneRandom& random, Painter& painter) {
  const Room& room = world.room;
  const int count = 1 + random.below(4);
  for (int i = 0; i < count; ++i) {
    const bool door = random.chance(0.3f);
    const float w = door ? 0.45f : random.between(0.2f, 0.7f),
                h = door ? 1.0f : random.between(0.2f, 0.5f);
    const float y = door ? 1.0f : random.between(1.3f, room.high.y - 0.7f);
    const bool window = !door && random.chance(0.4f);
    const int material =
        window ? painter.add({.a = painter.vary({0.65f, 0.75f, 0.85f}), .emission = 0.7f})
               : painter.paint(door ? 0.5f : 0.15f);
    const int wall = random.below(3);
    const float thick = 0.025f;
    if (wall == 0) {
      const float x = random.between(room.low.x + w, room.high.x - w);
      add(world, Kind::box, {x, y, room.high.z - thick}, {w, h, thick}, {}, material);
    } else {
      const float x = wall == 1 ? room.low.x + thick : room.high.x - thick;
      const float z = random.between(0.4f * room.high.z, room.high.z - w);
      add(world, Kind::box, {x, y, z}, {thick, h, w}, {}, material);
    }
  }
}

void make_room(World& world, SceneRandom& random, Painter& painter) {
  world.indoors = true;
  const float half = random.between(1.5f, 4.2f), deep = random.between(3.5f, 13),
              high = random.between(2.3f, 3.8f);
  Room& room = world.room;
  room = {.low = {-half, 0, 0}, .high = {half, high, deep}};
  const int walls = painter.paint(0.8f), accent = painter.paint(0.8f);
  const int ceiling = painter.plain({0.8f, 0.8f, 0.78f});
  const int back = random.chance(0.5f) ? walls : accent;
  room.materials = {walls, walls, painter.paint(0.5f), ceiling, walls, back};

  const float x0 = random.between(-half, half) * 0.6f, z0 = random.between(0.3f, 0.25f * deep);
  world.camera = {.position = {x0, random.between(0.9f, 1.9f), z0},
                  .yaw = random.slight_turn(0.6f),
                  .pitch = random.slight_turn(0.22f),
                  .half_width = random.between(0.55f, 0.9f)};
  Places places;
  places.take(x0, z0, 0.5f);
  const int wanted = 3 + random.below(8);
  for (int i = 0; i < wanted; ++i) {
    const float r = random.between(0.3f, 0.8f);
    for (int attempt = 0; attempt < 4; ++attempt) {
      const float x = random.between(-half + r, half - r),
                  z = random.between(std::min(z0 + r, deep - r), deep - r);
      if (!places.take(x, z, r)) continue;
      add_furniture(world, random, painter, x, z, r);
      break;
    }
  }
  add_hangings(world, random, painter);
  if (random.chance(0.4f))
    add(world, Kind::box, {0, 0.006f, random.between(0.4f, 0.7f) * deep},
        {0.6f * half, 0.006f, 0.18f * deep}, {}, painter.paint(0.3f));
  const Vec3 lamp{random.between(-half, half) * 0.7f, high - random.between(0.15f, 0.6f),
                  random.between(0.2f, 0.8f) * deep};
  const int glow = painter.add({.a = {1, 0.97f, 0.9f}, .emission = 1.5f});
  if (places.take(lamp.x, lamp.z, 0.2f))
    add(world, Kind::ellipsoid, lamp, {0.12f, 0.12f, 0.12f}, {}, glow);
  world.light.at = lamp;
}

// --- outdoors ----------------------------------------------------------------------------------

void add_tree(World& world, SceneRandom& random, Painter& painter, Vec3 foot) {
  const float height = random.between(2.5f, 8), trunk = 0.4f * height, r = 0.02f * height + 0.05f;
  const int bark = painter.plain({0.22f, 0.15f, 0.1f});
  const int leaves =
      painter.mottled(Texture::noise, {0.12f, 0.28f, 0.08f}, {0.22f, 0.4f, 0.12f}, 0.7f);
  add(world, Kind::cylinder, {foot.x, foot.y + trunk / 2, foot.z}, {r, trunk, r}, {}, bark);
  if (random.chance(0.5f)) {
    const float wide = height * random.between(0.16f, 0.3f);
    add(world, Kind::cone, {foot.x, foot.y + 0.62f * height, foot.z}, {wide, 0.4f * height, wide},
        {}, leaves);
  } else {
    const float wide = height * random.between(0.22f, 0.4f);
    add(world, Kind::ellipsoid, {foot.x, foot.y + 0.68f * height, foot.z},
        {wide, 0.34f * height, wide * random.between(0.8f, 1.2f)}, random.turn(), leaves);
  }
}

void add_house(World& world, SceneRandom& random, Painter& painter, Vec3 foot) {
  const Vec3 half{random.between(2.5f, 6), random.between(1.4f, 3.2f), random.between(2.5f, 4.5f)};
  const Turn turn = random.turn();
  const int walls = painter.mottled(Texture::facade, {0.6f, 0.52f, 0.42f}, {0.1f, 0.12f, 0.16f},
                                    random.between(1.4f, 2.2f));
  const int tiles = painter.mottled(painter.shifted() ? Texture::tiles : Texture::stripes,
                                    {0.42f, 0.17f, 0.1f}, {0.32f, 0.12f, 0.08f}, 0.5f);
  const float rise = random.between(0.6f, 1.4f), sunk = 1;  // into the slope
  add(world, Kind::box, {foot.x, foot.y + half.y - sunk, foot.z}, {half.x, half.y + sunk, half.z},
      turn, walls);
  add(world, Kind::roof, {foot.x, foot.y + 2 * half.y + rise, foot.z},
      {half.x + 0.3f, rise, half.z + 0.5f}, turn, tiles);
}

void make_sky(World& world, SceneRandom& random, Painter& painter) {
  SceneRandom& look = painter.random();
  Sky& sky = world.sky;
  sky.shift = look.between(0, 32);
  sky.clouds = look.between(0.1f, 0.7f);
  sky.fog = random.chance(0.3f) ? random.between(0.008f, 0.03f) : random.between(0.001f, 0.006f);
  Light& light = world.light;
  light.sun = true;
  light.shadows = painter.shifted() || look.chance(0.7f);
  const float low = painter.shifted() ? 0.25f : 0.6f, high = painter.shifted() ? 0.7f : 1.5f;
  const Vec3 side = to_world(look.turn(), {1, 0, 0});
  light.at = normalized({side.x, look.between(low, high), side.z});
  if (painter.shifted()) {
    if (look.chance(0.4f)) {  // overcast: no sun, grey
      sky.low = look.color(0.55f, 0.08f);
      sky.high = sky.low * 0.75f;
      sky.clouds = 0.9f;
      light.color = {0.12f, 0.12f, 0.13f};
      light.ambient = {0.45f, 0.46f, 0.5f};
    } else {  // a low sun
      sky.low = look.color(0.7f, 0.1f) * Vec3{1.2f, 0.9f, 0.65f};
      sky.high = {0.2f, 0.25f, 0.45f};
      light.color = Vec3{1.25f, 0.9f, 0.55f} * look.between(0.6f, 1);
      light.ambient = {0.22f, 0.24f, 0.32f};
    }
  } else {
    light.color = Vec3{0.95f, 0.92f, 0.85f} * look.between(0.85f, 1.1f);
    light.ambient = {0.38f, 0.42f, 0.48f};
  }
}

void make_landscape(World& world, SceneRandom& random, Painter& painter) {
  world.terrain = Terrain(random, random.between(1, 22), random.between(0.3f, 1));
  static constexpr Vec3 kGrounds[][2] = {{{0.2f, 0.32f, 0.1f}, {0.34f, 0.38f, 0.16f}},
                                         {{0.5f, 0.42f, 0.26f}, {0.36f, 0.3f, 0.2f}},
                                         {{0.75f, 0.77f, 0.8f}, {0.55f, 0.58f, 0.62f}},
                                         {{0.3f, 0.27f, 0.22f}, {0.2f, 0.28f, 0.12f}}};
  const auto& colors = kGrounds[painter.random().below(4)];
  world.ground = painter.mottled(painter.shifted() ? Texture::marble : Texture::ground, colors[0],
                                 colors[1], painter.random().between(0.8f, 4));
  const float above = random.chance(0.25f) ? random.between(3, 9) : random.between(1.3f, 2.2f);
  world.camera = {.position = {0, world.terrain.height(0, 0) + above, 0},
                  .yaw = random.turn(),
                  .pitch = random.slight_turn(0.16f),
                  .half_width = random.between(0.5f, 0.9f)};
  Places places;
  places.take(0, 0, 2.5f);
  const int wanted = 8 + random.below(26), houses = random.chance(0.4f) ? 1 + random.below(4) : 0;
  const int bare = random.below(3);  // 0: mostly rocks
  for (int i = 0; i < wanted; ++i) {
    // More of them near, all about where the camera looks.
    const float near = random.between(0, 1), z = 4 + 86 * near * near;
    const float x = random.between(-1, 1) * (world.camera.half_width * z + 3);
    const Vec3 ahead = to_world(world.camera.yaw, {x, 0, z});
    const bool house = i < houses && z > 14;
    if (!places.take(ahead.x, ahead.z, house ? 6.5f : 1.2f)) continue;
    const Vec3 foot{ahead.x, world.terrain.height(ahead.x, ahead.z), ahead.z};
    if (house) {
      add_house(world, random, painter, foot);
    } else if (random.below(4) < (bare == 0 ? 1 : 3)) {
      add_tree(world, random, painter, foot);
    } else {
      const float r = random.between(0.2f, 1.3f);
      add(world, Kind::ellipsoid, {foot.x, foot.y + 0.2f * r, foot.z},
          {r, r * random.between(0.5f, 1), r * random.between(0.6f, 1.2f)}, random.turn(),
          painter.mottled(painter.shifted() ? Texture::speckle : Texture::noise,
                          {0.42f, 0.4f, 0.38f}, {0.3f, 0.29f, 0.28f}, 0.4f));
    }
  }
  make_sky(world, random, painter);
}

void add_car(World& world, SceneRandom& random, Painter& painter, float x, float z) {
  const Turn turn = random.slight_turn(0.06f);
  const int paint = painter.add(
      {.a = painter.random().color(painter.random().between(0.1f, 0.7f), 0.8f), .gloss = 0.5f});
  const int dark = painter.plain({0.05f, 0.05f, 0.06f});
  add(world, Kind::box, {x, 0.58f, z}, {0.86f, 0.33f, 2.1f}, turn, paint);
  const Vec3 cabin = to_world(turn, {0, 0, -0.2f});
  add(world, Kind::box, {x + cabin.x, 1.15f, z + cabin.z}, {0.74f, 0.26f, 1.15f}, turn, dark);
  for (const float sx : {-1.0f, 1.0f})
    for (const float sz : {-1.0f, 1.0f}) {
      const Vec3 wheel = to_world(turn, {sx * 0.75f, 0, sz * 1.35f});
      add(world, Kind::ellipsoid, {x + wheel.x, 0.33f, z + wheel.z}, {0.14f, 0.33f, 0.33f}, turn,
          dark);
    }
}

void make_street(World& world, SceneRandom& random, Painter& painter) {
  world.road = painter.add({.texture = Texture::road,
                            .a = painter.vary({0.16f, 0.16f, 0.17f}),
                            .b = {0.75f, 0.75f, 0.7f}});
  world.ground = painter.mottled(painter.shifted() ? Texture::speckle : Texture::checker,
                                 {0.45f, 0.44f, 0.42f}, {0.36f, 0.35f, 0.34f}, 0.8f);
  world.camera = {.position = {random.between(-4.5f, 4.5f), random.between(1.2f, 2.4f), 0},
                  .yaw = random.slight_turn(0.45f),
                  .pitch = random.slight_turn(0.1f),
                  .half_width = random.between(0.55f, 0.9f)};
  for (const float side : {-1.0f, 1.0f}) {
    const float edge = random.between(6, 9);
    for (float z = -8; z < 130;) {
      const float wide = random.between(4, 9), deep = random.between(3, 6);
      const float half_height = random.between(2.5f, 8), back = random.between(0, 1.5f);
      z += random.chance(0.25f) ? random.between(3, 12) : 0;
      const int walls = painter.mottled(
          Texture::facade, painter.random().color(painter.random().between(0.25f, 0.7f), 0.4f),
          {0.1f, 0.12f, 0.16f}, random.between(1.6f, 3));
      add(world, Kind::box, {side * (edge + back + deep), half_height, z + wide},
          {deep, half_height, wide}, {}, walls);
      z += 2 * wide;
    }
    const int metal = painter.plain({0.2f, 0.2f, 0.22f});
    const float gap = random.between(9, 16);
    if (random.chance(0.6f))
      for (float z = random.between(3, 9); z < 80; z += gap)
        add(world, Kind::cylinder, {side * 4.2f, 2.6f, z}, {0.07f, 2.6f, 0.07f}, {}, metal);
    if (random.chance(0.6f))
      for (float z = random.between(6, 14); z < 70; z += random.between(9, 20))
        add_tree(world, random, painter, {side * 5.2f, 0, z});
    for (float z = random.between(5, 16); z < 60; z += random.between(5.5f, 25))
      add_car(world, random, painter, side * 2.2f, z);
    for (int i = random.below(3); i > 0; --i) {  // people, roughly
      const float x = side * random.between(3.6f, 5.5f), z = random.between(4, 25);
      const float h = random.between(0.7f, 0.85f);
      add(world, Kind::cone, {x, h, z}, {0.28f, h, 0.28f}, {}, painter.paint(0.3f));
      add(world, Kind::ellipsoid, {x, 2 * h - 0.05f, z}, {0.12f, 0.15f, 0.12f}, {},
          painter.plain({0.5f, 0.36f, 0.28f}));
    }
  }
  make_sky(world, random, painter);
}

void light_room(World& world, Painter& painter) {
  SceneRandom& look = painter.random();
  Light& light = world.light;
  world.sky.fog = 0;
  light.shadows = painter.shifted() || look.chance(0.6f);
  if (painter.shifted()) {
    const bool warm = look.chance(0.6f);
    const Vec3 tint = warm ? Vec3{1.15f, 0.85f, 0.55f} : Vec3{0.7f, 0.9f, 1.15f};
    light.color = tint * look.between(0.4f, 0.9f);
    light.ambient = Vec3{0.3f, 0.3f, 0.34f} * look.between(0.4f, 0.9f);
  } else {
    light.color = Vec3{0.8f, 0.78f, 0.74f} * look.between(0.8f, 1.1f);
    light.ambient = Vec3{0.42f, 0.42f, 0.44f} * look.between(0.8f, 1.1f);
  }
}

Sensor worn_sensor(SceneRandom& look) {
  Sensor sensor;
  sensor.cast = look.color(0.9f, 0.18f) * look.between(0.75f, 1.25f);
  sensor.vignette = look.between(0.1f, 0.55f);
  sensor.blur = look.below(3);
  sensor.read_noise = look.between(0.002f, 0.012f);
  sensor.shot_noise = look.between(0.005f, 0.04f);
  return sensor;
}

}  // namespace

World make_world(Domain domain, uint64_t seed, uint64_t index) {
  constexpr uint64_t kReal = 0x7265616c00000000;
  SceneRandom random(domain == Domain::real ? seed ^ kReal : seed, index);
  World world;
  Painter painter(world, domain, random.key());
  const float kind = random.between(0, 1);
  if (kind < 0.5f) {
    make_room(world, random, painter);
    light_room(world, painter);
  } else if (kind < 0.8f) {
    make_landscape(world, random, painter);
  } else {
    make_street(world, random, painter);
  }
  if (painter.shifted()) world.sensor = worn_sensor(painter.random());
  return world;
}

}  // namespace fathom::synth
