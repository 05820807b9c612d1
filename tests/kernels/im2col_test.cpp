#include "kernels/im2col.h"

#include "tests/kernels/sweeps.h"

namespace fathom {

// Calls f(column entry, map element) for every entry that lies inside the map, in order.
static void for_each_inside(const Im2col& s, auto f) {
  int64_t entry = 0;
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t top = -s.pad; top + s.kernel_h <= s.H + s.pad; top += s.stride)
      for (int64_t left = -s.pad; left + s.kernel_w <= s.W + s.pad; left += s.stride)
        for (int64_t y = top; y < top + s.kernel_h; ++y)
          for (int64_t x = left; x < left + s.kernel_w; ++x)
            for (int64_t c = 0; c < s.C; ++c, ++entry)
              if (y >= 0 && y < s.H && x >= 0 && x < s.W)
                f(size_t(entry), size_t(((b * s.H + y) * s.W + x) * s.C + c));
}

static const std::vector<Im2col> kShapes{
    {1, 1, 1, 1, 1, 1, 1, 0},  {2, 5, 7, 3, 3, 3, 1, 1},      {2, 5, 7, 3, 3, 3, 2, 1},
    {1, 6, 8, 5, 3, 3, 2, 1},  {1, 28, 42, 3, 14, 14, 14, 0}, {1, 5, 7, 2, 2, 2, 2, 0},
    {1, 3, 2, 3, 5, 1, 1, 4},  {1, 2, 3, 1, 1, 1, 3, 2},      {1, 1, 1, 7, 3, 3, 1, 1},
    {2, 4, 3, 17, 2, 3, 1, 0},
};

TEST_CASE("im2col: copies what lies under the kernel, and zeros outside the map") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  for (const Im2col& s : kShapes) {
    CAPTURE(dtype, s.H, s.W, s.kernel_h, s.kernel_w, s.stride, s.pad);
    const Tensor x = random_tensor({s.B, s.H, s.W, s.C}, {dtype});
    Tensor columns = full({s.rows(), s.columns()}, 77, {dtype});  // every entry is written
    kernels::im2col(CpuStream{}, s, x, columns);
    const std::vector<double> from = values(x);
    std::vector<double> expected(size_t(columns.numel()), 0.0);
    for_each_inside(s, [&](size_t entry, size_t element) { expected[entry] = from[element]; });
    CHECK(values(columns) == expected);
  }
}

TEST_CASE("col2im: sums what im2col copied") {
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  for (const Im2col& s : kShapes) {
    CAPTURE(dtype, s.H, s.W, s.kernel_h, s.kernel_w, s.stride, s.pad);
    const Tensor columns = random_tensor({s.rows(), s.columns()}, {dtype});
    Tensor dx = full({s.B, s.H, s.W, s.C}, 77, {dtype});
    kernels::col2im(CpuStream{}, s, columns, dx);
    const std::vector<double> from = values(columns);
    std::vector<double> expected(size_t(dx.numel()), 0.0);
    for_each_inside(s, [&](size_t entry, size_t element) { expected[element] += from[entry]; });
    // A pixel lies under at most 9 positions of these kernels: 8 additions, each within epsilon / 2
    // of sums below 9 * 4; then one rounding to the dtype.
    const double e = epsilon(dtype == DType::f64 ? DType::f64 : DType::f32);
    CHECK(close(dx, expected, {.absolute = 8 * 18 * e, .relative = epsilon(dtype)}));
  }
}

TEST_CASE("im2col: threads do not change the bits") {
  const Im2col s{2, 37, 41, 19, 3, 3, 2, 1};
  const Tensor x = random_tensor({s.B, s.H, s.W, s.C});
  const Tensor dcolumns = random_tensor({s.rows(), s.columns()}, {}, 2);
  CHECK(same_bits_with_any_threads([&] {
    Tensor columns = empty({s.rows(), s.columns()}), dx = empty_like(x);
    kernels::im2col(CpuStream{}, s, x, columns);
    kernels::col2im(CpuStream{}, s, dcolumns, dx);
    return std::vector{columns, dx};
  }));
}

}  // namespace fathom
