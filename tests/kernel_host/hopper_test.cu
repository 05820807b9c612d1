#include "tests/kernel_host/testing.h"
#include "tests/kernel_host/wgmma_gemm.h"

namespace fathom {

TEST_CASE("wgmma_gemm: matches its definition") {
  const int m = 64, n = 128, k = 64 * 5;
  const auto a = normal<bfloat16>(m * k, 1), b = normal<bfloat16>(n * k, 2);
  std::vector<double> expected(m * n), allowed(m * n);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double magnitude = 0;
      for (int l = 0; l < k; ++l) {
        const double product = double(float(a[i * k + l])) * double(float(b[j * k + l]));
        expected[i * n + j] += product;
        magnitude += std::abs(product);
      }
      allowed[i * n + j] = k * epsilon(DType::f32) * magnitude;  // a sum of k terms in float
    }
  under_schedules(2, [&] {
    DeviceArray<bfloat16> da(a), db(b);
    DeviceArray<float> c(expected.size());
    wgmma_gemm(nullptr, da, db, c, m, n, k);
    CHECK(within(c.get(), expected, allowed));
  });
}

}  // namespace fathom
