#include <algorithm>

#include "kernels/cuda/layer_norm.h"
#include "kernels/layer_norm.h"
#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

// Gradients and bounds on the error of computing them in float.
struct Reference {
  std::vector<double> dx, dweight, dbias, dx_allowed, dweight_allowed, dbias_allowed;
};

template <class X, class T, class P>
Reference reference(const std::vector<X>& x, const std::vector<P>& weight,
                    const std::vector<float>& mean, const std::vector<float>& rstd,
                    const std::vector<T>& dy, const std::vector<X>& dresidual, int64_t rows,
                    int64_t C) {
  const double u = rounding<float>(), n = double(C);
  Reference r{.dx = {},
              .dweight = std::vector<double>(C),
              .dbias = std::vector<double>(C),
              .dx_allowed = {},
              .dweight_allowed = std::vector<double>(C),
              .dbias_allowed = std::vector<double>(C)};
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> g(C), h(C);
    double mean_g = 0, mean_gh = 0, size_g = 0, size_gh = 0;
    for (int64_t c = 0; c < C; ++c) {
      const double d = cast<double>(dy[row * C + c]);
      h[c] = (cast<double>(x[row * C + c]) - double(mean[row])) * double(rstd[row]);
      g[c] = d * cast<double>(weight[c]);
      mean_g += g[c] / n, size_g += std::abs(g[c]) / n;
      mean_gh += g[c] * h[c] / n, size_gh += std::abs(g[c] * h[c]) / n;
      r.dweight[c] += d * h[c], r.dweight_allowed[c] += std::abs(d * h[c]);
      r.dbias[c] += d, r.dbias_allowed[c] += std::abs(d);
    }
    // A sum over a row has at most C / 16 + 6 additions; h has two roundings, g one; three sums and
    // two products follow.
    const double sums = (n / 16 + 10) * u;
    for (int64_t c = 0; c < C; ++c) {
      const double residual = dresidual.empty() ? 0 : cast<double>(dresidual[row * C + c]);
      const double part = (g[c] - mean_g - h[c] * mean_gh) * double(rstd[row]);
      r.dx.push_back(part + residual);
      r.dx_allowed.push_back(
          double(rstd[row]) *
              (sums * (size_g + std::abs(h[c]) * size_gh) +
               6 * u * (std::abs(g[c]) + std::abs(mean_g) + std::abs(h[c] * mean_gh))) +
          std::abs(r.dx.back()) * (rounding<X>() + u) + 1e-30);
    }
  }
  for (int64_t c = 0; c < C; ++c) {  // a column's sum has `rows` additions at most
    r.dweight_allowed[c] = r.dweight_allowed[c] * (double(rows) + 3) * u +
                           std::abs(r.dweight[c]) * (rounding<P>() + u) + 1e-30;
    r.dbias_allowed[c] =
        r.dbias_allowed[c] * double(rows) * u + std::abs(r.dbias[c]) * (rounding<P>() + u) + 1e-30;
  }
  return r;
}

// What the forward pass leaves, in double, rounded to float.
template <class X>
void statistics(const std::vector<X>& x, int64_t rows, int64_t C, std::vector<float>& mean,
                std::vector<float>& rstd) {
  for (int64_t row = 0; row < rows; ++row) {
    double m = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) m += cast<double>(x[row * C + c]) / double(C);
    for (int64_t c = 0; c < C; ++c)
      variance += std::pow(cast<double>(x[row * C + c]) - m, 2) / double(C);
    mean.push_back(float(m)), rstd.push_back(float(1 / std::sqrt(variance + 1e-6)));
  }
}

enum class Residual { kNone, kAdded };

template <class X, class T, class P>
void check_backward(int64_t rows, int64_t C, Residual residual, int64_t skip, int schedules) {
  CAPTURE(dtype_of<X>(), dtype_of<T>(), rows, C, skip);
  const auto x = normal<X>(rows * C, 1);
  const auto dy = normal<T>(rows * C, 2);
  const auto weight = normal<P>(C, 3);
  const bool added = residual == Residual::kAdded;
  const auto dresidual = added ? normal<X>(rows * C, 4) : std::vector<X>();
  std::vector<float> mean, rstd;
  statistics(x, rows, C, mean, rstd);
  const Reference expected = reference(x, weight, mean, rstd, dy, dresidual, rows, C);

  Tensor cpu_dx, cpu_dweight, cpu_dbias;
  if constexpr (std::is_same_v<X, T> && std::is_same_v<T, P>) {
    const TensorOptions options{dtype_of<T>()};
    cpu_dx = empty({rows, C}, options), cpu_dweight = empty({C}, options);
    cpu_dbias = empty({C}, options);
    kernels::layer_norm_backward(CpuStream{}, tensor_of({rows, C}, x), tensor_of({C}, weight),
                                 tensor_of({rows}, mean), tensor_of({rows}, rstd),
                                 tensor_of({rows, C}, dy), {}, 0, cpu_dx, cpu_dweight, cpu_dbias);
  }
  std::vector<T> shifted(skip);
  shifted.insert(shifted.end(), dy.begin(), dy.end());
  std::vector<double> first;
  under_schedules(schedules, [&] {
    DeviceArray<X> at(x), dx(added ? dresidual : x);  // over the residual's gradient
    DeviceArray<T> d(shifted), rounded(rows * C);
    DeviceArray<P> w(weight), dweight(C), dbias(C);
    DeviceArray<float> m(mean), r(rstd), workspace(size_t(cuda::layer_norm_workspace(rows, C)));
    cuda::layer_norm_backward<X, T, P>(nullptr, at, w, m, r, d + skip, added ? +dx : nullptr, dx,
                                       added ? +rounded : nullptr, dweight, dbias, workspace, rows,
                                       C);
    CHECK(within(dx.get(), expected.dx, expected.dx_allowed));
    CHECK(within(dweight.get(), expected.dweight, expected.dweight_allowed));
    CHECK(within(dbias.get(), expected.dbias, expected.dbias_allowed));
    if (added) {
      const std::vector<double> exact = widened(dx.get());
      std::vector<double> one_rounding;
      for (const double v : exact) one_rounding.push_back(std::abs(v) * rounding<T>() + 1e-7);
      CHECK(within(rounded.get(), exact, one_rounding));
    } else if (cpu_dx.defined()) {
      CHECK(within(dx.get(), values(cpu_dx), twice(expected.dx_allowed)));
      CHECK(within(dweight.get(), values(cpu_dweight), twice(expected.dweight_allowed)));
      CHECK(within(dbias.get(), values(cpu_dbias), twice(expected.dbias_allowed)));
    }
    const std::vector<double> sums = widened(dweight.get());
    if (first.empty()) first = sums;
    CHECK(sums == first);  // the bits do not depend on the schedule
  });
}

}  // namespace

TEST_CASE("cuda layer_norm backward: matches its definition") {
  // One element, odd, ragged vectors, the encoders' rows, past the registers.
  const int64_t C = GENERATE(1, 7, 33, 40, 384, 768, 1024, 1536, 1544);
  const int64_t rows = GENERATE(1, 5, 37);  // the host's two multiprocessors: up to 6 blocks
  if (rows == 37 && C > 400) return;
  check_backward<float, float, float>(rows, C, Residual::kNone, 0, rows == 5);
  check_backward<bfloat16, bfloat16, bfloat16>(rows, C, Residual::kNone, 0, 0);
  check_backward<float16, float16, float16>(rows, C, Residual::kNone, 0, 0);
  check_backward<float, bfloat16, float>(rows, C, Residual::kAdded, 0, 0);
  check_backward<float, float16, float>(rows, C, Residual::kAdded, 0, 0);
}

TEST_CASE("cuda layer_norm backward: takes rows that are not aligned to 16 bytes") {
  check_backward<float, float, float>(3, 384, Residual::kAdded, 1, 0);
  check_backward<bfloat16, bfloat16, bfloat16>(3, 384, Residual::kNone, 3, 0);
}

TEST_CASE("cuda layer_norm backward: rows left out pass the residual's gradient on") {
  const int64_t B = 3, skip = 2, kept = 5, rows = B * kept;
  const int64_t C = GENERATE(7, 40, 384);
  const bool added = GENERATE(true, false);
  const auto kept_x = normal<float>(rows * C, 1), kept_residual = normal<float>(rows * C, 4);
  const auto dy = normal<bfloat16>(rows * C, 2);
  const auto weight = normal<float>(C, 3);
  std::vector<float> mean, rstd;
  statistics(kept_x, rows, C, mean, rstd);
  Reference expected = reference(kept_x, weight, mean, rstd, dy,
                                 added ? kept_residual : std::vector<float>(), rows, C);
  // The same with `skip` more rows before those of every image, of which x is never read.
  const auto left_out = normal<float>(B * skip * C, 5);
  const auto with = [&]<class T>(const std::vector<T>& of_kept, const std::vector<T>& of_others) {
    std::vector<T> all;
    for (int64_t b = 0; b < B; ++b) {
      all.insert(all.end(), of_others.begin() + b * skip * C,
                 of_others.begin() + (b + 1) * skip * C);
      all.insert(all.end(), of_kept.begin() + b * kept * C, of_kept.begin() + (b + 1) * kept * C);
    }
    return all;
  };
  const auto x = with(kept_x, std::vector<float>(left_out.size(), NAN));
  const auto dresidual = with(kept_residual, left_out);
  expected.dx = with(expected.dx, added ? widened(left_out) : std::vector<double>(left_out.size()));
  expected.dx_allowed = with(expected.dx_allowed, std::vector<double>(left_out.size()));
  under_schedules(1, [&] {
    DeviceArray<float> at(x), residual(dresidual), dx(x.size()), w(weight), dweight(C), dbias(C);
    DeviceArray<bfloat16> d(dy), rounded(x.size());
    DeviceArray<float> m(mean), r(rstd), workspace(size_t(cuda::layer_norm_workspace(rows, C)));
    cuda::layer_norm_backward<float, bfloat16, float>(
        nullptr, at, w, m, r, d, added ? +residual : nullptr, dx, rounded, dweight, dbias,
        workspace, rows, C, {.skip = skip, .kept = kept});
    CHECK(within(dx.get(), expected.dx, expected.dx_allowed));
    CHECK(within(dweight.get(), expected.dweight, expected.dweight_allowed));
    CHECK(within(dbias.get(), expected.dbias, expected.dbias_allowed));
    const std::vector<double> exact = widened(dx.get());
    std::vector<double> one_rounding;
    for (const double v : exact) one_rounding.push_back(std::abs(v) * rounding<bfloat16>() + 1e-30);
    CHECK(within(rounded.get(), exact, one_rounding));
  });
}

TEST_CASE("cuda layer_norm backward: a NaN stays in its row and its column") {
  const int64_t rows = 3, C = 384;
  const auto x = normal<float>(rows * C, 1);
  auto dy = normal<float>(rows * C, 2);
  dy[C + 5] = NAN;
  std::vector<float> mean, rstd;
  statistics(x, rows, C, mean, rstd);
  under_schedules(0, [&] {
    DeviceArray<float> at(x), d(dy), w(std::vector<float>(C, 1.0f)), m(mean), r(rstd), dx(rows * C),
        dweight(C), dbias(C), workspace(size_t(cuda::layer_norm_workspace(rows, C)));
    cuda::layer_norm_backward<float, float, float>(nullptr, at, w, m, r, d, nullptr, dx, nullptr,
                                                   dweight, dbias, workspace, rows, C);
    const auto dx_values = dx.get(), dbias_values = dbias.get();
    for (int64_t i = 0; i < rows * C; ++i) REQUIRE(std::isnan(dx_values[i]) == (i / C == 1));
    for (int64_t c = 0; c < C; ++c) REQUIRE(std::isnan(dbias_values[c]) == (c == 5));
  });
}

}  // namespace fathom
