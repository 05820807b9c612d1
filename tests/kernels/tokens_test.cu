#include "kernels/cuda/tokens.h"

#include "kernels/tokens.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

template <class T>
void check_tokens(int64_t B, int64_t P, int64_t R, int64_t D, int schedules) {
  CAPTURE(dtype_of<T>(), B, P, R, D);
  const int64_t N = 1 + R + P;
  const auto patches = normal<T>(B * P * D, 1), cls = normal<T>(D, 2),
             positions = normal<T>((1 + P) * D, 3),
             registers = normal<T>(std::max(R, int64_t(1)) * D, 4), dy = normal<T>(B * N * D, 5);
  // The definition, and its transpose.
  std::vector<double> y, dpatches(B * P * D), dcls(D), dpositions((1 + P) * D), dregisters(R * D),
      sizes(N * D);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < N; ++t)
      for (int64_t d = 0; d < D; ++d) {
        const double g = cast<double>(dy[(b * N + t) * D + d]);
        sizes[t * D + d] += std::abs(g);
        if (t == 0) {
          y.push_back(cast<double>(cls[d]) + cast<double>(positions[d]));
          dcls[d] += g, dpositions[d] += g;
        } else if (t <= R) {
          y.push_back(cast<double>(registers[(t - 1) * D + d]));
          dregisters[(t - 1) * D + d] += g;
        } else {
          const int64_t p = t - 1 - R;
          y.push_back(cast<double>(patches[(b * P + p) * D + d]) +
                      cast<double>(positions[(1 + p) * D + d]));
          dpatches[(b * P + p) * D + d] = g, dpositions[(1 + p) * D + d] += g;
        }
      }
  // One sum in float and its rounding; the batch's in order.
  const double one = rounding<float>() + rounding<T>();
  std::vector<double> y_allowed;
  for (const double v : y) y_allowed.push_back(std::abs(v) * one + 1e-7);
  const auto sums_allowed = [&](const std::vector<double>& sums, int64_t first) {
    std::vector<double> allowed;
    for (size_t i = 0; i < sums.size(); ++i)
      allowed.push_back(sizes[first * D + i] * double(B) * rounding<float>() +
                        std::abs(sums[i]) * one + 1e-7);
    return allowed;
  };
  std::vector<double> positions_allowed =
      sums_allowed(std::vector<double>(dpositions.begin(), dpositions.begin() + D), 0);
  const auto patch_rows =
      sums_allowed(std::vector<double>(dpositions.begin() + D, dpositions.end()), 1 + R);
  positions_allowed.insert(positions_allowed.end(), patch_rows.begin(), patch_rows.end());

  const Tensor cpu = assemble_tokens(tensor_of({B, P, D}, patches), tensor_of({D}, cls),
                                     tensor_of({1 + P, D}, positions),
                                     R > 0 ? tensor_of({R, D}, registers) : Tensor());
  under_schedules(schedules, [&] {
    DeviceArray<T> x(patches), c(cls), p(positions), r(registers), d(dy), result(y.size()),
        dx(dpatches.size()), dc(D), dp(dpositions.size()), dr(std::max(R, int64_t(1)) * D);
    cuda::assemble_tokens_forward<T>(nullptr, x, c, p, R > 0 ? +r : nullptr, result, B, P, R, D);
    CHECK(within(result.get(), y, y_allowed));
    CHECK(within(result.get(), values(cpu), twice(y_allowed)));
    cuda::assemble_tokens_backward<T>(nullptr, d, dx, dc, dp, R > 0 ? +dr : nullptr, B, P, R, D);
    CHECK(widened(dx.get()) == dpatches);
    CHECK(within(dc.get(), dcls, sums_allowed(dcls, 0)));
    CHECK(within(dp.get(), dpositions, positions_allowed));
    if (R > 0) CHECK(within(dr.get(), dregisters, sums_allowed(dregisters, 1)));
  });
}

}  // namespace

TEMPLATE_TEST_CASE("cuda tokens: match their definition", "", float, bfloat16, float16) {
  const int64_t D = GENERATE(1, 5, 8, 40);
  check_tokens<TestType>(1, 1, 0, D, 1);
  check_tokens<TestType>(3, 7, 4, D, 0);
  check_tokens<TestType>(2, 30, 0, D, 0);
}

}  // namespace fathom
