#include "train/eval/alignment.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace fathom {

static constexpr std::pair<const char*, Alignment> kNames[] = {
    {"none", Alignment::none},
    {"median", Alignment::median},
    {"disparity", Alignment::least_squares_disparity},
    {"depth", Alignment::least_squares_depth},
};

Alignment alignment_of(const std::string& name) {
  for (const auto& [known, alignment] : kNames)
    if (name == known) return alignment;
  fail("alignment '", name, "' is not known: expected none, median, disparity or depth");
}

std::string name_of(Alignment alignment) {
  for (const auto& [name, known] : kNames)
    if (alignment == known) return name;
  fail("unknown alignment ", int(alignment));
}

static void check_sizes(const char* function, std::span<const double> prediction,
                        std::span<const double> target) {
  check(!target.empty() && target.size() == prediction.size(), function,
        ": as many predictions as targets are needed, and at least one, but there are ",
        prediction.size(), " and ", target.size());
}

static double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / double(values.size());
}

AffineFit fit_least_squares(std::span<const double> prediction, std::span<const double> target) {
  check_sizes("fit_least_squares", prediction, target);
  // One value everywhere has a rounded mean that differs from it, hence the test by value.
  if (std::all_of(prediction.begin(), prediction.end(),
                  [&](double p) { return p == prediction.front(); }))
    return {0, 0};
  const double mean_p = mean(prediction), mean_g = mean(target);
  double variance = 0, covariance = 0;
  for (size_t i = 0; i < target.size(); ++i) {
    const double p = prediction[i] - mean_p;
    variance += p * p;
    covariance += p * (target[i] - mean_g);
  }
  if (!(variance > 0)) return {0, 0};  // differences so small that their squares vanish
  const double scale = covariance / variance;
  return {scale, mean_g - scale * mean_p};
}

static double median(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + std::ptrdiff_t(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  if (sorted.size() % 2) return *middle;
  return (*std::max_element(sorted.begin(), middle) + *middle) / 2;
}

AffineFit fit_median(std::span<const double> prediction, std::span<const double> target) {
  check_sizes("fit_median", prediction, target);
  const double of_prediction = median(prediction);
  return {of_prediction > 0 ? median(target) / of_prediction : 0, 0};
}

}  // namespace fathom
