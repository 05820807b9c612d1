#include "kernels/cuda/median.h"

#include <algorithm>

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

struct Row {
  std::vector<float> x;
  std::vector<uint8_t> mask;  // empty: no mask
};

// NaN above every number, as torch sorts.
bool below(float a, float b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

void check_median(const Row& r, int schedules) {
  const auto N = static_cast<int64_t>(r.x.size());
  std::vector<float> kept;
  for (int64_t i = 0; i < N; ++i)
    if (r.mask.empty() || r.mask[i]) kept.push_back(r.x[i]);
  std::sort(kept.begin(), kept.end(), below);
  const float median = kept.empty() ? 0.0f : kept[(kept.size() - 1) / 2];
  int32_t index = -1;
  for (int64_t i = 0; i < N && index < 0 && !kept.empty(); ++i)
    if ((r.mask.empty() || r.mask[i]) && !below(r.x[i], median) && !below(median, r.x[i]))
      index = static_cast<int32_t>(i);

  under_schedules(schedules, [&] {
    DeviceArray<float> x(r.x), value(1);
    DeviceArray<uint8_t> mask(r.mask.empty() ? std::vector<uint8_t>{0} : r.mask);
    DeviceArray<int32_t> found(1), count(1);
    cuda::median_forward(nullptr, x,
                         r.mask.empty() ? nullptr : reinterpret_cast<const bool*>(+mask), value,
                         found, count, 1, N);
    const float got = value.get()[0];
    CHECK((got == median || (std::isnan(got) && std::isnan(median))));
    CHECK(found.get()[0] == index);
    CHECK(count.get()[0] == static_cast<int32_t>(kept.size()));
  });
}

std::vector<uint8_t> every(int64_t N, int64_t step, int64_t first = 0) {
  std::vector<uint8_t> mask(N, 0);
  for (int64_t i = first; i < N; i += step) mask[i] = 1;
  return mask;
}

}  // namespace

TEST_CASE("cuda median: matches sorting") {
  const int64_t N = GENERATE(1, 2, 3, 255, 1023, 1024, 1025, 3000);
  CAPTURE(N);
  const auto x = normal<float>(N, 1);
  check_median({x, {}}, 1);
  check_median({x, every(N, 3)}, 0);
  check_median({x, every(N, N, N / 2)}, 0);          // one pixel
  check_median({x, std::vector<uint8_t>(N, 0)}, 0);  // none
  std::vector<float> rounded = x;
  for (float& v : rounded) v = std::round(v);  // ties, among them zeros of both signs
  check_median({rounded, {}}, 0);
  check_median({std::vector<float>(N, -2.5f), {}}, 0);  // a constant
}

TEST_CASE("cuda median: orders zeros, infinities and NaN") {
  check_median({{0.0f, -0.0f, -0.0f}, {}}, 1);
  check_median({{-0.0f, 0.0f, 1.0f, -1.0f}, {}}, 1);
  check_median({{NAN, 1.0f, NAN, NAN}, {}}, 1);
  check_median({{NAN, 1.0f, -NAN, 2.0f}, {}}, 1);
  check_median({{INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f}, {}}, 1);
  check_median({{-1e-45f, 1e-45f, 0.0f}, {}}, 1);
}

TEST_CASE("cuda median: rows are independent") {
  const int64_t N = 700, rows = 3;
  const auto x = normal<float>(rows * N, 4);
  under_schedules(2, [&] {
    DeviceArray<float> dx(x), value(rows);
    DeviceArray<int32_t> index(rows), count(rows);
    cuda::median_forward(nullptr, dx, nullptr, value, index, count, rows, N);
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> row(x.begin() + r * N, x.begin() + (r + 1) * N);
      std::nth_element(row.begin(), row.begin() + (N - 1) / 2, row.end());
      CHECK(value.get()[r] == row[(N - 1) / 2]);
      CHECK(x[r * N + index.get()[r]] == value.get()[r]);
    }
  });
}

}  // namespace fathom
