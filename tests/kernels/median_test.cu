#include "kernels/cuda/median.h"

#include <algorithm>

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

using Mask = std::vector<uint8_t>;

// NaN above every number, as torch sorts.
bool below(float a, float b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

// All rows at once against sorting each; an empty mask keeps every value.
void check_median(const std::vector<float>& x, const Mask& mask, int schedules, int64_t rows = 1) {
  const int64_t N = int64_t(x.size()) / rows;
  std::vector<float> medians;
  std::vector<int32_t> indices, counts;
  for (int64_t row = 0; row < rows; ++row) {
    const auto is_kept = [&](int64_t i) { return mask.empty() || mask[row * N + i]; };
    std::vector<float> kept;
    for (int64_t i = 0; i < N; ++i)
      if (is_kept(i)) kept.push_back(x[row * N + i]);
    std::sort(kept.begin(), kept.end(), below);
    const float median = kept.empty() ? 0.0f : kept[(kept.size() - 1) / 2];
    int32_t index = -1;
    for (int64_t i = 0; i < N && index < 0 && !kept.empty(); ++i)
      if (is_kept(i) && !below(x[row * N + i], median) && !below(median, x[row * N + i]))
        index = static_cast<int32_t>(i);
    medians.push_back(median), indices.push_back(index);
    counts.push_back(static_cast<int32_t>(kept.size()));
  }
  under_schedules(schedules, [&] {
    DeviceArray<float> dx(x), value(rows);
    DeviceArray<uint8_t> bytes(mask.empty() ? Mask{0} : mask);
    DeviceArray<int32_t> index(rows), count(rows);
    const bool* const dmask = mask.empty() ? nullptr : reinterpret_cast<const bool*>(+bytes);
    cuda::median_forward(nullptr, dx, dmask, cuda::Hidden::kLeftOut, value, index, count, rows, N);
    CHECK(index.get() == indices);
    CHECK(count.get() == counts);
    CHECK(within(value.get(), widened(medians), std::vector<double>(rows, 0.0)));
  });
}

// Every step-th place.
Mask every(int64_t N, int64_t step, int64_t first = 0) {
  Mask mask(N, 0);
  for (int64_t i = first; i < N; i += step) mask[i] = 1;
  return mask;
}

}  // namespace

TEST_CASE("cuda median: matches sorting") {
  const int64_t N = GENERATE(1, 2, 3, 255, 1023, 1024, 1025, 3000);
  CAPTURE(N);
  const auto x = normal<float>(N, 1);
  check_median(x, {}, 1);
  check_median(x, every(N, 3), 0);
  check_median(x, every(N, N, N / 2), 0);  // one pixel
  check_median(x, Mask(N, 0), 0);          // none
  std::vector<float> rounded = x;
  for (float& v : rounded) v = std::round(v);  // ties, among them zeros of both signs
  check_median(rounded, {}, 0);
  check_median(std::vector<float>(N, -2.5f), {}, 0);  // a constant
  // The first of the equal values is masked: the index is the first unmasked one.
  check_median(std::vector<float>(N, -2.5f), every(N, 3, N > 1), 0);
}

TEST_CASE("cuda median: orders zeros, infinities and NaN") {
  check_median({0.0f, -0.0f, -0.0f}, {}, 1);
  check_median({-0.0f, 0.0f, 1.0f, -1.0f}, {}, 1);
  check_median({NAN, 1.0f, NAN, NAN}, {}, 1);
  check_median({NAN, 1.0f, -NAN, 2.0f}, {}, 1);
  check_median({INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f}, {}, 1);
  check_median({-1e-45f, 1e-45f, 0.0f}, {}, 1);
}

TEST_CASE("cuda median: rows are independent") {
  const int64_t N = 700, rows = 3;
  const auto x = normal<float>(rows * N, 4);
  check_median(x, {}, 2, rows);
  Mask mask = every(rows * N, 3);
  std::fill(mask.begin() + N, mask.begin() + 2 * N, 0);
  check_median(x, mask, 2, rows);
}

}  // namespace fathom
