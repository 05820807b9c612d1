#include "kernels/cuda/masked.h"

#include <algorithm>

#include "kernels/gradient_matching.h"
#include "kernels/masked_error.h"
#include "kernels/masked_statistics.h"
#include "kernels/masks.h"
#include "kernels/normalize_affine.h"
#include "kernels/trim_mask.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

using Bytes = std::vector<uint8_t>;
const double u = rounding<float>();

// Maps of two images; the CPU's ops in double, on the same numbers, are the reference.
struct Case {
  int64_t H, W;
  std::vector<float> x, dy;
  Bytes mask;
  int64_t B() const { return 2; }
  int64_t N() const { return H * W; }
  Shape shape() const { return {2, H, W}; }
  Tensor maps(const std::vector<float>& v) const {
    return from_values(shape(), widened(v), {DType::f64});
  }
  Tensor cpu_mask() const {
    return from_values(shape(), std::vector<double>(mask.begin(), mask.end()), {DType::boolean});
  }
};

enum class Kept { kAll, kNone, kOne, kMost, kNoneAndMost };

Case made(int64_t H, int64_t W, Kept kept, bool rounded = false) {
  Case c{.H = H,
         .W = W,
         .x = normal<float>(2 * H * W, 1),
         .dy = normal<float>(2 * H * W, 2),
         .mask = {}};
  const auto drawn = normal<float>(2 * H * W, 3);
  for (int64_t i = 0; i < 2 * H * W; ++i) {
    const bool most = drawn[i] > -0.7f;
    if (kept == Kept::kAll) c.mask.push_back(1);
    if (kept == Kept::kNone) c.mask.push_back(0);
    if (kept == Kept::kOne) c.mask.push_back(i % (H * W) == H * W / 2);
    if (kept == Kept::kMost) c.mask.push_back(most);
    if (kept == Kept::kNoneAndMost) c.mask.push_back(i >= H * W && most);
    if (rounded) c.x[i] = std::round(c.x[i]);  // ties
    if (!c.mask.back()) c.x[i] = NAN;          // what the mask hides is not looked at
  }
  return c;
}

// On the device, with room for every result.
struct OnDevice {
  DeviceArray<float> x, dy, median, deviation, y, dx;
  DeviceArray<uint8_t> bytes, kept;
  DeviceArray<int32_t> index, count;
  DeviceArray<double> workspace;
  explicit OnDevice(const Case& c)
      : x(c.x),
        dy(c.dy),
        median(2),
        deviation(2),
        y(c.x.size()),
        dx(c.x.size()),
        bytes(c.mask),
        kept(c.mask.size()),
        index(2),
        count(2),
        workspace(size_t(cuda::masked_workspace(c.B(), c.N()))) {}
  const bool* mask() const { return reinterpret_cast<const bool*>(+bytes); }
};

std::vector<double> relative(const std::vector<double>& values, double tolerance) {
  std::vector<double> allowed;
  for (const double v : values) allowed.push_back(std::abs(v) * tolerance + 1e-30);
  return allowed;
}

}  // namespace

TEST_CASE("cuda masked: statistics, normalisation and its gradient") {
  const auto [H, W] = GENERATE(std::pair<int64_t, int64_t>(1, 1), std::pair<int64_t, int64_t>(5, 7),
                               std::pair<int64_t, int64_t>(97, 101));  // more than a piece
  const Kept kept = GENERATE(Kept::kAll, Kept::kNone, Kept::kOne, Kept::kMost, Kept::kNoneAndMost);
  const MedianOver over = GENERATE(MedianOver::valid, MedianOver::all_with_zeros);
  if (H > 50 && kept != Kept::kMost) return;
  CAPTURE(H, W, int(kept), int(over));
  const Case c = made(H, W, kept);
  const MaskedStatistics expected = masked_statistics(c.maps(c.x), c.cpu_mask(), over);
  const cuda::Hidden hidden =
      over == MedianOver::valid ? cuda::Hidden::kLeftOut : cuda::Hidden::kAsZero;
  std::vector<double> first;
  under_schedules(1, [&] {
    OnDevice d(c);
    cuda::masked_statistics(nullptr, d.x, d.mask(), hidden, d.median, d.deviation, d.index, d.count,
                            d.workspace, c.B(), c.N());
    CHECK(within(d.median.get(), values(expected.median), {0, 0}));
    CHECK(within(d.deviation.get(), values(expected.deviation),
                 relative(values(expected.deviation), 2 * u)));
    CHECK(widened(d.index.get()) == values(expected.index));
    CHECK(widened(d.count.get()) == values(expected.count));

    // From here on the device's own statistics, so that only this op's rounding counts.
    const TensorOptions f64{DType::f64};
    const Tensor t = from_values({2}, widened(d.median.get()), f64),
                 s = from_values({2}, widened(d.deviation.get()), f64);
    Tensor y = empty(c.shape(), f64), dx = empty(c.shape(), f64);
    kernels::normalize_affine_forward(CpuStream{}, c.maps(c.x), c.cpu_mask(), t, s, y);
    cuda::normalize_affine_forward(nullptr, d.x, d.mask(), d.median, d.deviation, d.y, c.B(),
                                   c.N());
    CHECK(within(d.y.get(), values(y), relative(values(y), 3 * u)));
    const Tensor y_device = from_values(c.shape(), widened(d.y.get()), f64);
    kernels::normalize_affine_backward(CpuStream{}, y_device, c.cpu_mask(), s, expected.index,
                                       expected.count, c.maps(c.dy), dx);
    cuda::normalize_affine_backward(nullptr, d.y, d.mask(), d.deviation, d.index, d.count, d.dy,
                                    d.dx, d.workspace, c.B(), c.N());
    std::vector<double> allowed = relative(values(dx), 2 * u);  // sums in double on both sides
    for (double& a : allowed) a += 1e-9;
    CHECK(within(d.dx.get(), values(dx), allowed));
    if (first.empty()) first = widened(d.dx.get());
    CHECK(within(d.dx.get(), first, std::vector<double>(first.size(), 0.0)));  // equal bits
  });
}

TEST_CASE("cuda masked: errors, counts and masks") {
  const Kept kept = GENERATE(Kept::kAll, Kept::kNone, Kept::kOne, Kept::kMost, Kept::kNoneAndMost);
  const bool squared = GENERATE(false, true);
  const auto [H, W] =
      GENERATE(std::pair<int64_t, int64_t>(5, 7), std::pair<int64_t, int64_t>(91, 101));
  CAPTURE(int(kept), squared, H, W);
  const Case c = made(H, W, kept);
  const auto kind = squared ? kernels::ErrorKind::squared : kernels::ErrorKind::absolute;
  const auto error = squared ? cuda::ErrorNorm::kSquared : cuda::ErrorNorm::kAbsolute;
  const Tensor r = c.maps(c.x), mask = c.cpu_mask(), count = mask_count(mask),
               dloss = from_values({2}, {0.5, -3}, {DType::f64});
  Tensor loss = empty({2}, {DType::f64}), dr = empty(c.shape(), {DType::f64});
  kernels::masked_error_forward(CpuStream{}, r, mask, count, kind, loss);
  kernels::masked_error_backward(CpuStream{}, r, mask, count, kind, dloss, dr);
  under_schedules(1, [&] {
    OnDevice d(c);
    DeviceArray<float> losses(2), dlosses(std::vector<float>{0.5f, -3.0f}), fraction(2);
    cuda::mask_count(nullptr, d.mask(), d.count, fraction, d.workspace, c.B(), c.N());
    CHECK(widened(d.count.get()) == values(count));
    const std::vector<double> shares = values(mask_fraction(mask, DType::f64));
    CHECK(within(fraction.get(), shares, relative(shares, u)));
    cuda::masked_error_forward(nullptr, d.x, d.mask(), d.count, error, losses, d.workspace, c.B(),
                               c.N());
    CHECK(within(losses.get(), values(loss), relative(values(loss), 2 * u)));
    cuda::masked_error_backward(nullptr, d.x, d.mask(), d.count, error, dlosses, d.dx, c.B(),
                                c.N());
    CHECK(within(d.dx.get(), values(dr), relative(values(dr), 2 * u)));

    DeviceArray<float> keep(std::vector<float>{0.0f, 1.0f});
    bool* const out = reinterpret_cast<bool*>(+d.kept);
    cuda::mask_images(nullptr, d.mask(), keep, out, c.B(), c.N());
    Bytes second = c.mask;
    std::fill(second.begin(), second.begin() + c.N(), 0);
    CHECK(d.kept.get() == second);
    DeviceArray<uint8_t> other(second), pair(second.size());
    cuda::mask_pair(nullptr, cuda::MaskPair::kAndNot, d.mask(),
                    reinterpret_cast<const bool*>(+other), reinterpret_cast<bool*>(+pair),
                    2 * c.N());
    Bytes rest = c.mask;
    std::fill(rest.begin() + c.N(), rest.end(), 0);
    CHECK(pair.get() == rest);
  });
}

TEST_CASE("cuda masked: trimming keeps the same pixels") {
  const Kept kept = GENERATE(Kept::kAll, Kept::kNone, Kept::kOne, Kept::kMost, Kept::kNoneAndMost);
  const TrimRule rule = GENERATE(TrimRule::below_quantile, TrimRule::smallest);
  const double trim = GENERATE(0.0, 0.1, 0.2, 0.77);
  const bool rounded = GENERATE(false, true);
  const auto [H, W] = GENERATE(std::pair<int64_t, int64_t>(5, 7),
                               std::pair<int64_t, int64_t>(33, 65));  // three tiles
  CAPTURE(int(kept), int(rule), trim, rounded, H, W);
  Case c = made(H, W, kept, rounded);
  if (kept == Kept::kAll) c.x[3] = NAN, c.x[c.N() + 4] = INFINITY;
  Tensor expected = empty(c.shape(), {DType::boolean});
  kernels::trim_mask(CpuStream{}, c.maps(c.x), c.cpu_mask(), rule, trim, expected);
  const auto device_rule =
      rule == TrimRule::smallest ? cuda::Trim::kSmallest : cuda::Trim::kBelowQuantile;
  under_schedules(0, [&] {
    OnDevice d(c);
    cuda::trim_mask(nullptr, d.x, d.mask(), device_rule, trim, reinterpret_cast<bool*>(+d.kept),
                    c.B(), c.N());
    const Bytes result = d.kept.get();
    CHECK(std::vector<double>(result.begin(), result.end()) == values(expected));
  });
}

TEST_CASE("cuda masked: gradient matching") {
  const auto [H, W] =
      GENERATE(std::pair<int64_t, int64_t>(1, 1), std::pair<int64_t, int64_t>(1, 5),
               std::pair<int64_t, int64_t>(7, 1), std::pair<int64_t, int64_t>(9, 17),
               std::pair<int64_t, int64_t>(91, 97));
  const Kept kept = GENERATE(Kept::kAll, Kept::kNone, Kept::kMost, Kept::kNoneAndMost);
  const int levels = GENERATE(1, 4, 9);
  const GradientDivisor divisor = GENERATE(GradientDivisor::level, GradientDivisor::image);
  CAPTURE(H, W, int(kept), levels, int(divisor));
  if (H > 50 && levels != 4) return;
  const Case c = made(H, W, kept, H == 9);
  const Tensor dloss = from_values({2}, {0.5, -3}, {DType::f64});
  Tensor loss = empty({2}, {DType::f64}), divisors = empty({2, levels}, {DType::f64}),
         dr = empty(c.shape(), {DType::f64});
  kernels::gradient_matching_forward(CpuStream{}, c.maps(c.x), c.cpu_mask(), {levels, divisor},
                                     divisors, loss);
  kernels::gradient_matching_backward(CpuStream{}, c.maps(c.x), c.cpu_mask(), divisors, dloss, dr);
  under_schedules(0, [&] {
    OnDevice d(c);
    DeviceArray<float> losses(2), dlosses(std::vector<float>{0.5f, -3.0f});
    DeviceArray<double> inverse(size_t(2 * levels)),
        workspace(size_t(cuda::gradient_matching_workspace(2, H, W, levels)));
    cuda::gradient_matching_forward(
        nullptr, d.x, d.mask(),
        divisor == GradientDivisor::level ? cuda::Divisor::kLevel : cuda::Divisor::kImage, inverse,
        losses, workspace, 2, H, W, levels);
    CHECK(inverse.get() == values(divisors));
    CHECK(within(losses.get(), values(loss), relative(values(loss), 2 * u)));
    cuda::gradient_matching_backward(nullptr, d.x, d.mask(), inverse, dlosses, d.dx, 2, H, W,
                                     levels);
    CHECK(within(d.dx.get(), values(dr), relative(values(dr), 2 * u)));
  });
}

TEST_CASE("cuda masked: usable images and the mean of a batch") {
  under_schedules(0, [&] {
    DeviceArray<float> deviation(std::vector<float>{1, 1e-7f, NAN, 1, 1}),
        usable(std::vector<float>{1, 1, 1, 0, 1}), x(std::vector<float>{2, NAN, 4, 8, 16}), mean(1),
        dmean(std::vector<float>{3}), dx(5);
    DeviceArray<int32_t> count(std::vector<int32_t>{10, 10, 10, 10, 9});
    cuda::usable_images(nullptr, deviation, count, 10, 1e-6, usable, 5);
    CHECK(usable.get() == std::vector<float>{1, 0, 1, 0, 0});
    cuda::weighted_mean_forward(nullptr, x, usable, mean, 5);
    CHECK(mean.get() == std::vector<float>{3});
    cuda::weighted_mean_backward(nullptr, usable, dmean, dx, 5);
    CHECK(dx.get() == std::vector<float>{1.5f, 0, 1.5f, 0, 0});
  });
}

}  // namespace fathom
