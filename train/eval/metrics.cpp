#include "train/eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace fathom {

static void check_positive(const char* what, std::span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i)
    check(values[i] > 0 && std::isfinite(values[i]), "depth_metrics: ", what,
          " must be positive and finite, but value ", i, " is ", values[i]);
}

DepthMetrics depth_metrics(std::span<const double> truth, std::span<const double> prediction) {
  check(!truth.empty() && truth.size() == prediction.size(),
        "depth_metrics: as many predictions as true values are needed, and at least one, but there "
        "are ",
        prediction.size(), " and ", truth.size());
  check_positive("the truth", truth);
  check_positive("the prediction", prediction);

  DepthMetrics sum;
  double log_squares = 0, log_sum = 0;
  std::vector<double> log_errors(truth.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    const double z = truth[i], y = prediction[i], error = y - z;
    const double ratio = std::max(z / y, y / z), log_error = std::log(y) - std::log(z);
    sum.abs_rel += std::abs(error) / z;
    sum.sq_rel += error * error / z;
    sum.rmse += error * error;
    sum.log10 += std::abs(log_error);
    sum.delta1 += ratio < 1.25;
    sum.delta2 += ratio < 1.25 * 1.25;
    sum.delta3 += ratio < 1.25 * 1.25 * 1.25;
    log_sum += log_error;
    log_squares += log_error * log_error;
    log_errors[i] = log_error;
  }
  const double count = double(truth.size()), log_mean = log_sum / count;
  visit_metrics(sum, [&](const char*, double& value) { value /= count; });
  sum.rmse = std::sqrt(sum.rmse);
  sum.rmse_log = std::sqrt(log_squares / count);
  sum.log10 /= std::log(10.0);
  // mean e^2 - (mean e)^2 of the formula, centred first so that it does not cancel.
  double variance = 0;
  for (const double e : log_errors) variance += (e - log_mean) * (e - log_mean);
  sum.silog = 100 * std::sqrt(variance / count);
  return sum;
}

DepthMetrics mean_of(std::span<const DepthMetrics> images) {
  check(!images.empty(), "mean_of: there is no image to average over");
  DepthMetrics mean;
  for (const DepthMetrics& image : images) {
    std::vector<double> values;
    visit_metrics(image, [&](const char*, double value) { values.push_back(value); });
    size_t i = 0;
    visit_metrics(mean, [&](const char*, double& sum) { sum += values[i++]; });
  }
  visit_metrics(mean, [&](const char*, double& sum) { sum /= double(images.size()); });
  return mean;
}

}  // namespace fathom
