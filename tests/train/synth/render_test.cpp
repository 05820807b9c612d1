#include "train/synth/render.h"

#include "tests/testing.h"

namespace fathom::synth {

// Slopes of the ray through a pixel's centre, x to the right and y up.
static double slope_x(const World& world, int64_t x, int64_t height, int64_t width) {
  return (double(x) + 0.5 - 0.5 * double(width)) /
         (0.5 * double(std::max(height, width)) / double(world.camera.half_width));
}
static double slope_y(const World& world, int64_t y, int64_t height, int64_t width) {
  return -slope_x(world, y, width, height);
}

// Rays of single precision: a few roundings of 6e-8, times what a grazing hit makes of them.
constexpr double kRounding = 1e-5;

TEST_CASE("synth render: the depth of a plain is height over slope") {
  World world;
  world.camera = {.position = {0, 1.5f, 0}, .half_width = 0.8f};
  const int64_t H = 33, W = 47;
  const SynthImage image = render(world, H, W);
  REQUIRE(int64_t(image.depth_m.size()) == H * W);
  REQUIRE(int64_t(image.rgb.size()) == H * W * 3);
  for (int64_t y = 0; y < H; ++y)
    for (int64_t x = 0; x < W; ++x) {
      const double depth = 1.5 / -slope_y(world, y, H, W);  // the same for a whole row
      const float got = image.depth_m[size_t(y * W + x)];
      if (y <= H / 2)
        CHECK(std::isinf(got));
      else
        CHECK(got == Approx(depth).epsilon(kRounding));
    }
}

TEST_CASE("synth render: the depth of a ball is that of the quadratic's smaller root") {
  World world;
  world.camera = {.position = {0, 50, 0}, .half_width = 0.5f};  // far above the ground
  world.shapes = {{.kind = Shape::Kind::ellipsoid, .center = {0, 50, 5}, .half = {1, 1, 1}}};
  const int64_t N = 41;
  const SynthImage image = render(world, N, N);
  CHECK(image.depth_m[size_t(N / 2 * N + N / 2)] == 4);
  int hits = 0;
  for (int64_t y = 0; y < N; ++y)
    for (int64_t x = 0; x < N; ++x) {
      const double u = slope_x(world, x, N, N), v = slope_y(world, y, N, N), a = u * u + v * v + 1;
      const double root = 25 - a * 24;  // |t (u, v, 1) - (0, 0, 5)| = 1
      if (std::abs(root) < 1e-4) continue;
      const float got = image.depth_m[size_t(y * N + x)];
      if (root > 0) {
        ++hits;
        CHECK(got == Approx((5 - std::sqrt(root)) / a).epsilon(1e-4));  // the root cancels
      } else {
        CHECK((std::isinf(got) || got > 50));
      }
    }
  CHECK(hits > 100);
}

TEST_CASE("synth render: depth is along the optical axis, wherever the camera is turned") {
  World world;
  world.indoors = true;
  world.room = {.low = {-20, -20, -1}, .high = {20, 20, 4}};
  const int64_t N = 25;
  for (const float depth : render(world, N, N).depth_m) CHECK(depth == 4);
  // Turned to the right by atan(3/4): the wall z = 4 is met where t (0.8 - 0.6 u) = 4.
  world.camera.yaw = {0.8f, 0.6f};
  const SynthImage yawed = render(world, N, N);
  CHECK(yawed.depth_m[size_t(N / 2 * N + N / 2)] == Approx(5).epsilon(kRounding));
  for (int64_t x = 0; x < N; ++x)
    CHECK(yawed.depth_m[size_t(N / 2 * N + x)] ==
          Approx(4 / (0.8 - 0.6 * slope_x(world, x, N, N))).epsilon(kRounding));
  // Turned up instead: t (0.8 - 0.6 v) = 4.
  world.camera.yaw = {};
  world.camera.pitch = {0.8f, 0.6f};
  const SynthImage pitched = render(world, N, N);
  for (int64_t y = 0; y < N; ++y)
    CHECK(pitched.depth_m[size_t(y * N)] ==
          Approx(4 / (0.8 - 0.6 * slope_y(world, y, N, N))).epsilon(kRounding));
}

TEST_CASE("synth render: the nearest of several solids is seen, also from aside") {
  World world;
  world.camera = {.position = {0, 50, 0}, .half_width = 0.8f};
  SceneRandom random(5, 0);
  for (int i = 0; i < 20; ++i)
    world.shapes.push_back(
        {.kind = Shape::Kind(i % 5),
         .center = {random.between(-4, 4), 50 + random.between(-4, 4), random.between(-1, 9)},
         .half = {0.8f, 0.5f, 0.6f},
         .turn = random.turn()});
  world.camera.yaw = {0.8f, 0.6f};
  world.camera.pitch = {0.96f, 0.28f};
  const int64_t H = 30, W = 44;
  const SynthImage image = render(world, H, W);
  const Camera& camera = world.camera;
  int hits = 0;
  for (int64_t y = 0; y < H; ++y)
    for (int64_t x = 0; x < W; ++x) {
      const float u = float(slope_x(world, x, H, W)), v = float(slope_y(world, y, H, W));
      const Vec3 lifted{u, v * camera.pitch.c + camera.pitch.s,
                        camera.pitch.c - v * camera.pitch.s};
      const Ray ray{camera.position, to_world(camera.yaw, lifted)};
      float nearest = kFarthestM;
      for (const Shape& shape : world.shapes) nearest = entry(shape, ray, nearest);
      const float got = image.depth_m[size_t(y * W + x)];
      if (nearest < 40) {  // no shape is left out by the bounds of its window
        ++hits;
        CHECK(got <= nearest * 1.001f);
      } else {
        CHECK(got > 40);
      }
    }
  CHECK(hits > 100);
}

TEST_CASE("synth render: a scene is a function of seed, number, domain and size") {
  SynthOptions options{.height = 20, .width = 28, .seed = 5};
  const SynthImage scene = render_scene(options, 3), again = render_scene(options, 3);
  CHECK(scene.rgb == again.rgb);
  CHECK(scene.depth_m == again.depth_m);
  const auto differs = [&](const SynthImage& other) {
    return other.rgb != scene.rgb && other.depth_m != scene.depth_m;
  };
  CHECK(differs(render_scene(options, 4)));
  CHECK(differs(render_scene({.height = 20, .width = 28, .seed = 6}, 3)));
  CHECK(differs(render_scene({.height = 20, .width = 28, .domain = Domain::real, .seed = 5}, 3)));
  options.domain = Domain::real;  // whose noise is drawn too
  CHECK(render_scene(options, 3).rgb == render_scene(options, 3).rgb);
}

TEST_CASE("synth render: low pictures show ground too") {
  for (uint64_t i = 0; i < 150; ++i) {
    const SynthImage image = render_scene({.height = 8, .width = 32, .seed = 12}, i);
    int seen = 0;
    for (const float depth : image.depth_m) seen += std::isfinite(depth);
    CHECK(seen > 0);
  }
}

struct DepthStatistics {
  double mean_log = 0, sky = 0;
};

static DepthStatistics statistics(Domain domain, int scenes) {
  DepthStatistics sum;
  for (int i = 0; i < scenes; ++i) {
    const SynthImage image =
        render_scene({.height = 12, .width = 12, .domain = domain, .seed = 11}, uint64_t(i));
    double log_sum = 0, seen = 0;
    for (const float depth : image.depth_m) {
      if (std::isinf(depth)) continue;
      REQUIRE(depth > 0.05f);
      REQUIRE(depth < kFarthestM);
      log_sum += std::log(double(depth));
      ++seen;
    }
    REQUIRE(seen > 0);
    sum.mean_log += log_sum / seen / scenes;
    sum.sky += (1 - seen / 144) / scenes;
  }
  return sum;
}

TEST_CASE("synth render: both domains have the same statistics of depth") {
  // A scene's mean of log depth varies by 0.62 and its share of sky by 0.18 (standard deviations of
  // 3000 scenes), so that the means of two times 400 scenes differ by 0.044 and 0.013; four times
  // that is allowed.
  const DepthStatistics clean = statistics(Domain::labeled, 400),
                        real = statistics(Domain::real, 400);
  CHECK(clean.mean_log == Approx(real.mean_log).margin(0.18));
  CHECK(clean.sky == Approx(real.sky).margin(0.052));
  CHECK(clean.sky > 0.05);
  CHECK(clean.mean_log > 0.5);  // metres, not something else
  CHECK(clean.mean_log < 3);
}

TEST_CASE("synth render: the sensor changes pixels and no depth") {
  World world = make_world(Domain::labeled, 1, 0);
  const SynthImage clean = render(world, 24, 24, 1);
  CHECK(render(world, 24, 24, 2).rgb == clean.rgb);  // no noise without a noisy sensor
  world.sensor.read_noise = 0.01f;
  const SynthImage noisy = render(world, 24, 24, 1);
  CHECK(noisy.rgb != clean.rgb);
  CHECK(noisy.rgb != render(world, 24, 24, 2).rgb);
  CHECK(noisy.depth_m == clean.depth_m);
  world.sensor = {.cast = {1, 0, 1}};
  const SynthImage cast = render(world, 24, 24);
  for (size_t i = 0; i < cast.rgb.size(); ++i)
    CHECK(cast.rgb[i] == (i % 3 == 1 ? 0 : clean.rgb[i]));
  world.sensor = {.blur = 2};
  const SynthImage blurred = render(world, 24, 24);
  const auto roughness = [](const SynthImage& image) {
    int64_t sum = 0;
    for (size_t i = 3; i < image.rgb.size(); ++i) sum += std::abs(image.rgb[i] - image.rgb[i - 3]);
    return sum;
  };
  CHECK(roughness(blurred) < roughness(clean));
  CHECK(blurred.depth_m == clean.depth_m);
}

TEST_CASE("synth render: shadows darken and fog pales what it covers") {
  World world;  // a ball over a plain, the sun straight above
  world.camera = {.position = {0, 1.5f, 0}, .half_width = 0.8f};
  world.light = {.sun = true, .shadows = false};
  world.shapes = {{.kind = Shape::Kind::ellipsoid, .center = {0, 3, 6}, .half = {1, 1, 1}}};
  const int64_t N = 41;
  const SynthImage lit = render(world, N, N);
  world.light.shadows = true;
  const SynthImage shaded = render(world, N, N);
  int darker = 0;
  for (size_t i = 0; i < lit.rgb.size(); ++i) {
    CHECK(shaded.rgb[i] <= lit.rgb[i]);
    darker += shaded.rgb[i] < lit.rgb[i];
  }
  CHECK(darker > 30);
  world.light.shadows = false;
  world.sky.fog = 0.2f;
  world.sky.low = {1, 1, 1};
  const SynthImage foggy = render(world, N, N);
  const size_t near = size_t((N - 1) * N) * 3, far = size_t((N / 2 + 1) * N) * 3;
  CHECK(foggy.rgb[far] > lit.rgb[far] + 30);
  CHECK(foggy.rgb[far] > foggy.rgb[near] + 10);
  CHECK(foggy.depth_m == lit.depth_m);
}

}  // namespace fathom::synth
