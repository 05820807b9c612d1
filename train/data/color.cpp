#include "train/data/color.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/clones.h"
#include "core/error.h"

namespace fathom {
namespace {

// Some pixels with the channels apart, so that every step is a plain loop. Few enough for the first
// level cache, and for a sum in float.
struct Run {
  static constexpr size_t kPixels = 256;
  float red[kPixels], green[kPixels], blue[kPixels];
};

float limited(float x) {
  const float above = x > 0 ? x : 0;
  return above < 1 ? above : 1;
}

// Interleaved pixels apart, limited; what is beyond `count` stays.
FATHOM_CLONES void split(const float* rgb, size_t count, Run& run) {
  for (size_t i = 0; i < count; ++i) {
    run.red[i] = limited(rgb[3 * i]);
    run.green[i] = limited(rgb[3 * i + 1]);
    run.blue[i] = limited(rgb[3 * i + 2]);
  }
}

FATHOM_CLONES void join(const Run& run, size_t count, float* rgb) {
  for (size_t i = 0; i < count; ++i) {
    rgb[3 * i] = run.red[i];
    rgb[3 * i + 1] = run.green[i];
    rgb[3 * i + 2] = run.blue[i];
  }
}

FATHOM_CLONES void grey_of(const Run& run, float* grey) {
  for (size_t i = 0; i < Run::kPixels; ++i)
    grey[i] = 0.2989f * run.red[i] + 0.587f * run.green[i] + 0.114f * run.blue[i];
}

// factor * c + share * other in every channel.
FATHOM_CLONES void blend(Run& run, float factor, float share, const float* other) {
  for (size_t i = 0; i < Run::kPixels; ++i) {
    const float added = share * other[i];
    run.red[i] = limited(factor * run.red[i] + added);
    run.green[i] = limited(factor * run.green[i] + added);
    run.blue[i] = limited(factor * run.blue[i] + added);
  }
}

// Channel c of HSV is v - v s max(0, min(k, 4 - k, 1)), k = (n + h) mod 6, n = 5, 3, 1 for R, G, B:
// the same piecewise linear function as torchvision's table of six cases, without its branches.
float channel_of(float n, float hue, float value, float chroma) {
  float k = n + hue;
  k = k >= 6 ? k - 6 : k;
  const float rising = k < 4 - k ? k : 4 - k, kept = rising < 1 ? rising : 1;
  return limited(value - chroma * (kept > 0 ? kept : 0));
}

// Hue in sixths of the circle: which channel leads, and by how much the others differ.
FATHOM_CLONES void turn_hue(Run& run, float turn) {
  for (size_t i = 0; i < Run::kPixels; ++i) {
    const float r = run.red[i], g = run.green[i], b = run.blue[i];
    const float above = r > g ? r : g, below = r > g ? g : r;
    const float largest = above > b ? above : b, range = largest - (below < b ? below : b);
    const float scale = 1 / (range > 0 ? range : 1);
    const float red_leads = (g - b) * scale + (g < b ? 6.0f : 0.0f);
    const float green_leads = 2 + (b - r) * scale, blue_leads = 4 + (r - g) * scale;
    const float other = largest == g ? green_leads : blue_leads;
    float hue = (largest == r ? red_leads : other) + turn;
    hue = hue >= 6 ? hue - 6 : hue;
    run.red[i] = channel_of(5, hue, largest, range);
    run.green[i] = channel_of(3, hue, largest, range);
    run.blue[i] = channel_of(1, hue, largest, range);
  }
}

// In a fixed number of sums side by side, whatever the vectors' width.
FATHOM_CLONES float sum_of(const float* values, size_t count) {
  float sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (size_t j = 0; j < 8; ++j) sums[j] += values[i + j];
  for (; i < count; ++i) sums[i % 8] += values[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// `mean` is that of the grey picture before the step.
void apply(Run& run, const ColorStep& step, float mean) {
  using enum ColorStep::Kind;
  float other[Run::kPixels];
  if (step.kind == contrast)
    std::ranges::fill(other, mean);
  else
    grey_of(run, other);
  switch (step.kind) {
    case brightness: return blend(run, step.amount, 0, other);
    case contrast:
    case saturation: return blend(run, step.amount, 1 - step.amount, other);
    case hue: return turn_hue(run, 6 * (step.amount - std::floor(step.amount)));
    case grey: return blend(run, 0, 1, other);
  }
  fail("adjust_colors: unknown step ", int(step.kind));
}

// All steps on every pixel while it is at hand. Returns the mean of the grey of what comes out.
double adjust(std::span<float> rgb, std::span<const ColorStep> steps, float mean) {
  const size_t pixels = rgb.size() / 3;
  double sum = 0;
  Run run{};
  float grey[Run::kPixels];
  for (size_t begin = 0; begin < pixels; begin += Run::kPixels) {
    const size_t count = std::min(Run::kPixels, pixels - begin);
    float* const at = rgb.data() + 3 * begin;
    split(at, count, run);
    for (const ColorStep& step : steps) apply(run, step, mean);
    join(run, count, at);
    grey_of(run, grey);
    sum += sum_of(grey, count);
  }
  return sum / double(pixels);
}

}  // namespace

// Contrast must have seen all pixels, so a pass over them ends before it.
void adjust_colors(std::span<float> rgb, std::span<const ColorStep> steps) {
  const auto next_contrast = [&](auto from) {
    return std::find_if(from, steps.end(), [](const ColorStep& step) {
      return step.kind == ColorStep::Kind::contrast;
    });
  };
  auto end = next_contrast(steps.begin());
  double mean = adjust(rgb, {steps.begin(), end}, 0);
  while (end != steps.end()) {
    const auto begin = end;
    end = next_contrast(begin + 1);
    mean = adjust(rgb, {begin, end}, float(mean));
  }
}

static std::vector<float> gaussian(float sigma) {
  const auto radius = int64_t(std::ceil(3 * sigma));
  std::vector<float> weight(size_t(2 * radius + 1));
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k)
    sum += weight[size_t(k + radius)] = std::exp(-float(k * k) / (2 * sigma * sigma));
  for (float& w : weight) w = float(double(w) / sum);
  return weight;
}

typedef float Eight __attribute__((vector_size(32)));

static inline Eight load(const float* from) {
  Eight values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

// to[i] = the sum of weight[k] * from[k][i] over an odd number of weights that are the same from
// both ends, so that rows are added in pairs. Four vectors of sums stay in registers.
FATHOM_CLONES static void weighted_sum(const float* const* from, std::span<const float> weight,
                                       int64_t count, float* __restrict__ to) {
  const size_t last = weight.size() - 1, middle = last / 2;
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    Eight sums[4];
    for (int64_t j = 0; j < 4; ++j) sums[j] = weight[middle] * load(from[middle] + i + 8 * j);
    for (size_t k = 0; k < middle; ++k) {
      const float *const a = from[k] + i, *const b = from[last - k] + i;
      const float w = weight[k];
      for (int64_t j = 0; j < 4; ++j) sums[j] += w * (load(a + 8 * j) + load(b + 8 * j));
    }
    std::memcpy(to + i, sums, sizeof sums);
  }
  for (; i < count; ++i) {
    float sum = weight[middle] * from[middle][i];
    for (size_t k = 0; k < middle; ++k) sum += weight[k] * (from[k][i] + from[last - k][i]);
    to[i] = sum;
  }
}

void gaussian_blur(std::span<float> rgb, int64_t height, int64_t width, float sigma) {
  const std::vector<float> weight = gaussian(sigma);
  const auto radius = int64_t(weight.size()) / 2, row = width * 3;
  std::vector<float> down(rgb.size());
  std::vector<const float*> from(weight.size());
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t k = -radius; k <= radius; ++k)
      from[size_t(k + radius)] = rgb.data() + std::clamp<int64_t>(y + k, 0, height - 1) * row;
    weighted_sum(from.data(), weight, row, down.data() + y * row);
  }
  // Across: the row with its ends repeated, so that the loop has no border.
  std::vector<float> padded(size_t(row + 6 * radius));
  for (size_t k = 0; k < from.size(); ++k) from[k] = padded.data() + 3 * k;
  for (int64_t y = 0; y < height; ++y) {
    const float *const first = down.data() + y * row, *const last = first + row - 3;
    std::copy(first, first + row, padded.data() + 3 * radius);
    for (int64_t x = 0; x < radius; ++x) {
      std::copy(first, first + 3, padded.data() + 3 * x);
      std::copy(last, last + 3, padded.data() + row + 3 * (radius + x));
    }
    weighted_sum(from.data(), weight, row, rgb.data() + y * row);
  }
}

}  // namespace fathom
