#include "kernels/cuda/attention.h"

#include "tests/kernels/attention_reference.h"

namespace fathom {
namespace {

using Size = AttentionSize;

template <class E>
void check(const std::vector<E>& qkv, const Size& s, double score_error, int schedules) {
  const auto forward = [&](const E* in, E* y, float* lse) {
    cuda::attention_forward<E>(nullptr, in, y, lse, s.B, s.T, s.heads, s.D);
  };
  check_attention(forward, qkv, s, score_error, schedules);
}

}  // namespace

TEST_CASE("cuda attention: matches its definition for every length") {
  const int64_t T = GENERATE(1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200);
  const Size size{1, T, GENERATE(1, 2), 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), size.heads == 1 ? 0 : 1);
}

TEST_CASE("cuda attention: matches its definition for an image of 518 x 518") {
  const Size size{1, 1370, 1, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention: takes several images, odd heads, other widths and types") {
  const Size size =
      GENERATE(Size{2, 65, 3, 64}, Size{3, 17, 1, 32}, Size{1, 70, 2, 80}, Size{1, 66, 1, 128});
  check(random_qkv<bfloat16>(size), size, dot_error(size.D), 0);
  check(random_qkv<float16>(size), size, dot_error(size.D), 0);
  check(random_qkv<float>(size), size, dot_error(size.D), 0);
}

TEST_CASE("cuda attention in float: matches its definition for every length") {
  const Size size{1, GENERATE(1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129), 1, 64};
  check(random_qkv<float>(size), size, dot_error(64), 0);
}

TEST_CASE("cuda attention: scores of +-1e4 are exact to rounding") {
  const Size size{1, 130, 1, 64};
  check(large_scores<bfloat16>(size), size, 0, 0);
  check(large_scores<float>(size), size, 0, 0);
}

TEMPLATE_TEST_CASE("cuda attention: a NaN reaches what depends on it", "", bfloat16, float) {
  const Size size{1, 70, 2, 64};
  std::vector<TestType> qkv = random_qkv<TestType>(size);
  qkv[(5 * 3 + 0) * 128 + 3] = TestType(NAN);        // a query of head 0
  qkv[(69 * 3 + 2) * 128 + 64 + 9] = TestType(NAN);  // a value of head 1: a channel of all tokens
  under_schedules(0, [&] {
    DeviceArray<TestType> in(qkv), y(size.T * 128);
    cuda::attention_forward<TestType>(nullptr, in, y, nullptr, 1, size.T, 2, 64);
    const auto got = y.get();
    for (int64_t t = 0; t < size.T; ++t)
      for (int64_t c = 0; c < 128; ++c)
        REQUIRE(std::isnan(float(got[t * 128 + c])) == ((t == 5 && c < 64) || c == 64 + 9));
  });
}

TEMPLATE_TEST_CASE("cuda attention: says which widths it takes", "", bfloat16, float) {
  DeviceArray<TestType> in(3 * 48), y(48);
  CHECK_THROWS_WITH(cuda::attention_forward<TestType>(nullptr, in, y, nullptr, 1, 1, 1, 48),
                    Catch::Contains("32, 64, 80 or 128 channels") && Catch::Contains("not 48"));
}

}  // namespace fathom
