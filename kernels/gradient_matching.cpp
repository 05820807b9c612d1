#include "kernels/gradient_matching.h"

#include <cmath>
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/masks.h"

namespace fathom {

Tensor gradient_matching(const Tensor& r_in, const Tensor& mask_in,
                         const GradientMatchingOptions& options) {
  check_masked("gradient_matching", r_in, mask_in);
  check(r_in.rank() == 3, "gradient_matching: r must be [B, H, W], but is ", r_in.shape());
  check(options.levels >= 1 && options.levels <= 16, "gradient_matching: levels must be 1 to 16, ",
        "but are ", options.levels);
  const Tensor r = r_in.contiguous(), mask = mask_in.contiguous();
  Tensor divisors = empty({r.dim(0), options.levels}, {DType::f64, r.device()});
  Tensor loss = empty({r.dim(0)}, r.options());
  visit_stream(r.device(), [&](auto stream) {
    kernels::gradient_matching_forward(stream, r, mask, options, divisors, loss);
  });
  return record(loss, {r_in}, [r, mask, divisors](const Tensor& dloss) -> Grads {
    Tensor dr = empty_like(r);
    visit_stream(r.device(), [&](auto stream) {
      kernels::gradient_matching_backward(stream, r, mask, divisors, dloss, dr);
    });
    return {dr};
  });
}

// ---- CPU

constexpr int64_t kRows = 16;  // of a chunk; every row leaves its own sums

namespace {

// A row's share of one level.
struct LevelSum {
  double differences = 0;
  int64_t valid = 0;
};

// Row y of a map [H, W] at stride s: differences to the right and below.
template <class T>
LevelSum sum_row(const T* r, const bool* mask, int64_t y, int64_t s, int64_t H, int64_t W) {
  LevelSum sum;
  const T* row = r + y * W;
  const bool* valid = mask + y * W;
  const bool below = y + s < H;
  for (int64_t x = 0; x < W; x += s) {
    if (!valid[x]) continue;
    ++sum.valid;
    const double here = double(row[x]);
    if (x + s < W && valid[x + s]) sum.differences += std::fabs(double(row[x + s]) - here);
    if (below && valid[s * W + x]) sum.differences += std::fabs(double(row[s * W + x]) - here);
  }
  return sum;
}

}  // namespace

void kernels::gradient_matching_forward(CpuStream, const Tensor& r, const Tensor& mask,
                                        const GradientMatchingOptions& options, Tensor& divisors,
                                        Tensor& loss) {
  const int64_t B = r.dim(0), H = r.dim(1), W = r.dim(2), K = options.levels;
  const bool* pm = mask.data<bool>();
  std::vector<LevelSum> rows(size_t(B * H * K));
  visit_loss(r.dtype(), [&]<class T>(Tag<T>) {
    const T* pr = r.data<T>();
    parallel_for(B * H, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t y = i % H, image = i / H * H * W;
        for (int64_t k = 0; k < K && y % (int64_t(1) << k) == 0; ++k)
          rows[size_t(i * K + k)] = sum_row(pr + image, pm + image, y, int64_t(1) << k, H, W);
      }
    });
    double* pd = divisors.data<double>();
    T* pl = loss.data<T>();
    for (int64_t b = 0; b < B; ++b) {
      double total = 0;
      int64_t image_valid = 0;
      for (int64_t k = 0; k < K; ++k) {
        LevelSum level;
        for (int64_t y = 0; y < H; y += int64_t(1) << k) {
          level.differences += rows[size_t((b * H + y) * K + k)].differences;
          level.valid += rows[size_t((b * H + y) * K + k)].valid;
        }
        if (k == 0) image_valid = level.valid;
        const int64_t n = options.divisor == GradientDivisor::level ? level.valid : image_valid;
        pd[b * K + k] = n > 0 ? 1 / double(n) : 0;
        total += level.differences * pd[b * K + k];
      }
      pl[b] = T(total);
    }
  });
}

void kernels::gradient_matching_backward(CpuStream, const Tensor& r, const Tensor& mask,
                                         const Tensor& divisors, const Tensor& dloss, Tensor& dr) {
  const int64_t B = r.dim(0), H = r.dim(1), W = r.dim(2), K = divisors.dim(1);
  const bool* pm = mask.data<bool>();
  const double* pd = divisors.data<double>();
  visit_loss(r.dtype(), [&]<class T>(Tag<T>) {
    const T *pr = r.data<T>(), *pdl = dloss.data<T>();
    T* pdr = dr.data<T>();
    // Each pixel gathers from its four neighbours a level, so nobody adds to another's element.
    parallel_for(B * H, kRows, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t b = i / H, y = i % H;
        for (int64_t x = 0; x < W; ++x) {
          const int64_t at = i * W + x;
          double slope = 0;
          const auto against = [&](int64_t other) {  // sign of r - neighbour
            return !pm[other] ? 0 : (pr[at] > pr[other]) - (pr[at] < pr[other]);
          };
          for (int64_t k = 0; pm[at] && k < K; ++k) {
            const int64_t s = int64_t(1) << k;
            if ((x | y) & (s - 1)) break;
            int signs = 0;
            if (x + s < W) signs += against(at + s);
            if (x >= s) signs += against(at - s);
            if (y + s < H) signs += against(at + s * W);
            if (y >= s) signs += against(at - s * W);
            slope += signs * pd[b * K + k];
          }
          pdr[at] = T(slope * double(pdl[b]));
        }
      }
    });
  });
}

}  // namespace fathom
