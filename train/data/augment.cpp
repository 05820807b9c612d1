#include "train/data/augment.h"

#include <algorithm>
#include <vector>

#include "models/preprocess.h"
#include "train/data/color.h"
#include "train/data/draws.h"

namespace fathom {

CropWindow draw_window(ImageSize photo, int64_t side, const AugmentSection& augment,
                       const SampleId& id) {
  Draws draws(id.seed, id.epoch, id.sample, Draws::Purpose::geometry);
  const ImageSize full = input_size(photo, int(side));
  CropWindow window{.full = full, .height = side, .width = side};
  window.top = draws.below(full.height - side + 1);
  window.left = draws.below(full.width - side + 1);
  window.flip = draws.with_probability(augment.flip);
  return window;
}

Perturbation draw_perturbation(const AugmentSection& augment, const SampleId& id) {
  Perturbation drawn;
  Draws jitter(id.seed, id.epoch, id.sample, Draws::Purpose::jitter);
  drawn.jitter = jitter.with_probability(augment.jitter);
  for (size_t i = 3; i > 0; --i)
    std::swap(drawn.order[i], drawn.order[size_t(jitter.below(int64_t(i) + 1))]);
  const auto factor = [&](double range) {
    return jitter.uniform(std::max(0.0, 1 - range), 1 + range);
  };
  drawn.brightness = factor(augment.brightness);
  drawn.contrast = factor(augment.contrast);
  drawn.saturation = factor(augment.saturation);
  drawn.hue = jitter.uniform(-augment.hue, augment.hue);
  Draws grey(id.seed, id.epoch, id.sample, Draws::Purpose::grayscale);
  drawn.grey = grey.with_probability(augment.grayscale);
  Draws blur(id.seed, id.epoch, id.sample, Draws::Purpose::blur);
  if (blur.with_probability(augment.blur))
    drawn.blur_sigma = blur.uniform(augment.blur_sigma_min, augment.blur_sigma_max);
  return drawn;
}

void perturb(const Perturbation& p, std::span<float> rgb, int64_t height, int64_t width) {
  using enum ColorStep::Kind;
  const ColorStep jitter[] = {
      {brightness, p.brightness}, {contrast, p.contrast}, {saturation, p.saturation}, {hue, p.hue}};
  std::vector<ColorStep> steps;
  if (p.jitter)
    for (const int step : p.order) steps.push_back(jitter[step]);
  if (p.grey) steps.push_back({grey});
  adjust_colors(rgb, steps);
  if (p.blur_sigma > 0) gaussian_blur(rgb, height, width, p.blur_sigma);
}

void normalize(std::span<float> rgb) {
  float scale[3], shift[3];
  for (size_t c = 0; c < 3; ++c) {
    scale[c] = float(1 / kImageNet.deviation[c]);
    shift[c] = float(kImageNet.mean[c] / kImageNet.deviation[c]);
  }
  for (size_t i = 0; i + 2 < rgb.size(); i += 3)
    for (size_t c = 0; c < 3; ++c) rgb[i + c] = rgb[i + c] * scale[c] - shift[c];
}

}  // namespace fathom
