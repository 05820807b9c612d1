#include "kernels/cuda/patchify.h"

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

template <class T>
void check_patchify(int64_t B, int64_t H, int64_t W, int64_t C, int64_t p) {
  CAPTURE(dtype_of<T>(), B, H, W, C, p);
  const auto x = normal<T>(size_t(B * H * W * C), 1);
  const int64_t columns = cuda::patch_columns(p, C);
  REQUIRE(columns % 8 == 0);
  std::vector<double> expected;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t top = 0; top < H; top += p)
      for (int64_t left = 0; left < W; left += p)
        for (int64_t k = 0; k < columns; ++k) {
          const int64_t y = top + k / C / p, z = left + k / C % p;
          const bool inside = k < p * p * C;
          expected.push_back(inside ? cast<double>(x[size_t(((b * H + y) * W + z) * C + k % C)])
                                    : 0);
        }
  under_schedules(1, [&] {
    DeviceArray<T> dx(x), rows(expected.size());
    cuda::patchify<T>(nullptr, dx, rows, B, H, W, C, p);
    CHECK(widened(rows.get()) == expected);
  });
}

}  // namespace

TEST_CASE("cuda patchify: a patch a row, then zeros") {
  // The models' patches, more than one block of threads; rows that are full; one value a patch.
  const auto check = [](auto tag) {
    using T = decltype(tag);
    check_patchify<T>(2, 28, 42, 3, 14);
    check_patchify<T>(1, 8, 4, 2, 4);
    check_patchify<T>(3, 2, 3, 1, 1);
    check_patchify<T>(1, 5, 10, 5, 5);
  };
  check(float());
  check(bfloat16());
  check(float16());
}

}  // namespace fathom
