#include "train/synth/render.h"

#include <limits>

#include "core/error.h"
#include "core/philox.h"

namespace fathom::synth {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The pixels that a shape may cover, [left, right) by [top, bottom).
struct Window {
  int64_t left, right, top, bottom;
};

// What a ray met.
struct Surface {
  const Material* material;
  Vec3 point, normal;   // in the world
  LocalPoint textured;  // where its pattern is looked up
};

// Falls like 1 / e^x, of exact operations only.
float fade(float x) { return 1 / (1 + x * (1 + x * (0.5f + x * (1.0f / 6)))); }

class Renderer {
 public:
  Renderer(const World& world, int64_t height, int64_t width)
      : world_(world), height_(height), width_(width) {
    const Camera& camera = world.camera;
    focal_px_ = 0.5f * float(std::max(height, width)) / camera.half_width;
    right_ = to_world(camera.yaw, {1, 0, 0});
    up_ = to_world(camera.yaw, {0, camera.pitch.c, -camera.pitch.s});
    forward_ = to_world(camera.yaw, {0, camera.pitch.s, camera.pitch.c});
    for (const Shape& shape : world.shapes) windows_.push_back(window_of(shape));
  }

  void row(int64_t y, float* depth_m, Vec3* light) {
    in_row_.clear();
    for (size_t i = 0; i < windows_.size(); ++i)
      if (y >= windows_[i].top && y < windows_[i].bottom) in_row_.push_back(i);
    for (int64_t x = 0; x < width_; ++x) {
      // The direction's part along the optical axis is 1, so that t is the depth.
      const Ray ray{world_.camera.position,
                    forward_ + right_ * ((float(x) + 0.5f - 0.5f * float(width_)) / focal_px_) +
                        up_ * ((0.5f * float(height_) - float(y) - 0.5f) / focal_px_)};
      depth_m[x] = cast(x, ray, light[x]);
    }
  }

 private:
  // Around a sphere that holds the shape; too large rather than too small.
  Window window_of(const Shape& shape) const {
    const Vec3 to = shape.center - world_.camera.position;
    const float r = shape.radius() * 1.001f, x = dot(to, right_), y = dot(to, up_),
                z = dot(to, forward_);
    if (z + r <= 0) return {0, 0, 0, 0};
    if (z - r < 0.05f) return {0, width_, 0, height_};
    const auto least = [&](float low) { return low / (low > 0 ? z + r : z - r); };
    const auto place = [&](float slope, int64_t size) {
      return int64_t(std::clamp(0.5f * float(size) + focal_px_ * slope, -1.0f, float(size) + 1));
    };
    return {place(least(x - r), width_) - 1, place(-least(-x - r), width_) + 2,
            place(least(-y - r), height_) - 1, place(-least(y - r), height_) + 2};
  }

  // Returns the depth.
  float cast(int64_t x, const Ray& ray, Vec3& light) const {
    const Shape* nearest = nullptr;
    float t = kFarthestM;
    for (const size_t i : in_row_) {
      if (x < windows_[i].left || x >= windows_[i].right) continue;
      const float at = entry(world_.shapes[i], ray, t);
      if (at < t) nearest = &world_.shapes[i];
      t = at;
    }
    int wall = 0;
    const float background = world_.indoors ? room_exit(ray, wall) : world_.terrain.entry(ray, t);
    if (background < t) {
      t = background;
      const Vec3 point = ray.origin + ray.direction * t;
      light = shade(world_.indoors ? wall_at(wall, point) : ground_at(point), ray, t);
    } else if (nearest) {
      light = shade(shape_at(*nearest, ray.origin + ray.direction * t), ray, t);
    } else {
      light = sky(normalized(ray.direction));
      return kInfinity;
    }
    return t;
  }

  float room_exit(const Ray& ray, int& wall) const {
    const Vec3 o = ray.origin, d = ray.direction, low = world_.room.low, high = world_.room.high;
    float t = kInfinity;
    const auto axis = [&](int index, float from, float slope, float a, float b) {
      if (slope == 0) return;
      const float at = ((slope > 0 ? b : a) - from) / slope;
      if (at >= t) return;
      t = at;
      wall = index + (slope > 0);
    };
    axis(0, o.x, d.x, low.x, high.x);
    axis(2, o.y, d.y, low.y, high.y);
    axis(4, o.z, d.z, low.z, high.z);
    return t;
  }

  Surface wall_at(int wall, Vec3 point) const {
    static constexpr Vec3 kInward[] = {{1, 0, 0},  {-1, 0, 0}, {0, 1, 0},
                                       {0, -1, 0}, {0, 0, 1},  {0, 0, -1}};
    const Vec3 normal = kInward[wall];
    return {&world_.materials[size_t(world_.room.materials[size_t(wall)])],
            point,
            normal,
            {point, normal}};
  }

  Surface ground_at(Vec3 point) const {
    const bool road = world_.road >= 0 && std::abs(point.x) < kRoadHalfM;
    const Vec3 normal = world_.terrain.normal(point.x, point.z);
    return {&world_.materials[size_t(road ? world_.road : world_.ground)],
            point,
            normal,
            {point, {0, 1, 0}}};
  }

  Surface shape_at(const Shape& shape, Vec3 point) const {
    const LocalPoint local = local_point(shape, point);
    return {&world_.materials[size_t(shape.material)], point, to_world(shape.turn, local.normal),
            local};
  }

  bool in_shadow(Vec3 point, Vec3 to_light, float limit) const {
    const Ray ray{point, to_light};
    for (const Shape& shape : world_.shapes) {
      if (world_.materials[size_t(shape.material)].emission > 0) continue;
      if (touches(ray, limit, shape.center, shape.radius()) && entry(shape, ray, limit) < limit)
        return true;
    }
    return false;
  }

  Vec3 shade(const Surface& surface, const Ray& ray, float t) const {
    const Light& light = world_.light;
    const Material& material = *surface.material;
    const float distance = t * length(ray.direction);
    const Vec3 view = ray.direction * (-t / distance);
    // A pixel covers more of a surface seen from the side.
    const float facing = std::max(std::abs(dot(surface.normal, view)), 0.1f);
    const Vec3 color = albedo(material, surface.textured.position, surface.textured.normal,
                              distance / (focal_px_ * facing));
    Vec3 sum = color * light.ambient * (0.75f + 0.25f * surface.normal.y);
    const Vec3 to_light = light.sun ? light.at : light.at - surface.point;
    const float far = light.sun ? 1 : length(to_light), slant = dot(surface.normal, to_light) / far;
    const Vec3 start = surface.point + surface.normal * 2e-3f;
    if (slant > 0 && !(light.shadows && in_shadow(start, to_light, light.sun ? 60.0f : 1.0f))) {
      const Vec3 strength = light.color * (light.sun ? 1 : 2 / (1 + 0.22f * far * far));
      sum = sum + color * strength * slant;
      if (material.gloss > 0) {
        const Vec3 half = normalized(to_light * (1 / far) + view);
        float lobe = std::max(dot(surface.normal, half), 0.0f);
        for (int i = 0; i < 5; ++i) lobe *= lobe;  // to the 32nd power
        sum = sum + strength * (material.gloss * lobe);
      }
    }
    sum = sum + color * material.emission;
    return mix(world_.sky.low, sum, fade(world_.sky.fog * distance));
  }

  Vec3 sky(Vec3 direction) const {
    const Sky& sky = world_.sky;
    const float up = std::max(direction.y, 0.0f), k = 1 / (up + 0.12f);
    Vec3 color = mix(sky.low, sky.high, unit_clamp(1.6f * up));
    if (sky.clouds > 0) {
      const float u = 1.5f * direction.x * k + sky.shift, v = 1.5f * direction.z * k + sky.shift;
      const float cover = 0.6f * value_noise(u, v) + 0.4f * value_noise(2.7f * u, 2.7f * v);
      const float white = unit_clamp(3 * (cover - 1 + sky.clouds)) * unit_clamp(4 * up);
      color = mix(color, {0.9f, 0.9f, 0.92f}, white * 0.85f);
    }
    return color;
  }

  const World& world_;
  int64_t height_, width_;
  float focal_px_;
  Vec3 right_, up_, forward_;
  std::vector<Window> windows_;
  std::vector<size_t> in_row_;
};

// One pass of the 3 x 3 binomial filter; the border repeats.
void blur(std::vector<Vec3>& light, int64_t height, int64_t width) {
  const auto along = [&](int64_t count, int64_t lines, int64_t step, int64_t line_step) {
    for (int64_t line = 0; line < lines; ++line) {
      Vec3* p = light.data() + line * line_step;
      Vec3 before = p[0];
      for (int64_t i = 0; i < count; ++i) {
        const Vec3 here = p[i * step], after = p[std::min(i + 1, count - 1) * step];
        p[i * step] = 0.25f * (before + after) + 0.5f * here;
        before = here;
      }
    }
  };
  along(width, height, 1, width);
  along(height, width, width, 1);
}

void add_noise(std::vector<Vec3>& light, const Sensor& sensor, uint64_t key) {
  for (size_t i = 0; i < light.size(); ++i) {
    const Philox4 words = philox(key, i);
    float r, g, b, unused;
    normals_from(words.word[0], words.word[1], &r, &g);
    normals_from(words.word[2], words.word[3], &b, &unused);
    const auto noisy = [&](float x, float normal) {
      return x + normal * (sensor.read_noise + sensor.shot_noise * std::sqrt(unit_clamp(x)));
    };
    light[i] = {noisy(light[i].x, r), noisy(light[i].y, g), noisy(light[i].z, b)};
  }
}

void through_lens(std::vector<Vec3>& light, int64_t height, int64_t width, const Sensor& sensor) {
  for (int pass = 0; pass < sensor.blur; ++pass) blur(light, height, width);
  const float scale = 1 / float(height * height + width * width);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const float v = 2 * float(y) + 1 - float(height), u = 2 * float(x) + 1 - float(width);
      Vec3& pixel = light[size_t(y * width + x)];
      pixel = pixel * sensor.cast * (1 - sensor.vignette * (u * u + v * v) * scale);
    }
}

// In a low picture the world's pitch could leave nothing but sky; then the camera is level.
void keep_ground_in_view(Camera& camera, int64_t height, int64_t width) {
  const float half_height = camera.half_width * float(height) / float(std::max(height, width));
  if (camera.pitch.s > 0.3f * half_height * camera.pitch.c) camera.pitch = {};
}

// The curve of a display, close to sRGB's; a square root is exact on every machine.
uint8_t encoded(float linear) { return uint8_t(std::sqrt(unit_clamp(linear)) * 255 + 0.5f); }

}  // namespace

SynthImage render(const World& world, int64_t height, int64_t width, uint64_t noise_key) {
  check(height > 0 && width > 0, "render: a picture of ", width, " x ", height, " has no pixels");
  SynthImage image{height, width};
  const size_t pixels = size_t(height * width);
  image.depth_m.resize(pixels);
  std::vector<Vec3> light(pixels);
  Renderer renderer(world, height, width);
  for (int64_t y = 0; y < height; ++y)
    renderer.row(y, image.depth_m.data() + y * width, light.data() + y * width);
  const Sensor& sensor = world.sensor;
  through_lens(light, height, width, sensor);
  if (sensor.read_noise > 0 || sensor.shot_noise > 0) add_noise(light, sensor, noise_key);
  image.rgb.reserve(pixels * 3);
  for (const Vec3 pixel : light)
    for (const float channel : {pixel.x, pixel.y, pixel.z}) image.rgb.push_back(encoded(channel));
  return image;
}

SynthImage render_scene(const SynthOptions& options, uint64_t index) {
  World world = make_world(options.domain, options.seed, index);
  if (options.width > options.height)
    keep_ground_in_view(world.camera, options.height, options.width);
  constexpr uint64_t kNoise = 0x6e6f697365;
  return render(world, options.height, options.width,
                SceneRandom(options.seed ^ kNoise, index).key());
}

}  // namespace fathom::synth
