#include "kernels/cuda/attention.h"
#include "tests/kernels/attention_reference.h"

namespace fathom {
namespace {

using Size = AttentionSize;

template <class E>
void check_backward(const std::vector<E>& qkv, const Size& s, double score_error, int schedules) {
  const auto backward = [&](const E* in, const E* y, const float* lse, const E* dy, float* delta,
                            E* dqkv) {
    cuda::attention_backward<E>(nullptr, in, y, lse, dy, delta, dqkv, s.B, s.T, s.heads, s.D);
  };
  check_attention_gradient(backward, qkv, s, score_error, schedules);
}

}  // namespace

TEST_CASE("cuda attention_backward: matches its definition for every length") {
  const int64_t T = GENERATE(1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200);
  const Size size{1, T, 1, 64};
  check_backward(random_qkv<bfloat16>(size), size, dot_error(64), T < 70 ? 1 : 0);
}

TEST_CASE("cuda attention_backward: matches its definition for many steps") {
  const Size size{1, 600, 1, 64};
  check_backward(random_qkv<bfloat16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention_backward: takes several images, odd heads, other widths and types") {
  const Size size =
      GENERATE(Size{2, 65, 3, 64}, Size{3, 17, 1, 32}, Size{1, 70, 2, 80}, Size{1, 66, 1, 128});
  check_backward(random_qkv<bfloat16>(size), size, dot_error(size.D), 0);
  check_backward(random_qkv<float16>(size), size, dot_error(size.D), 0);
  check_backward(random_qkv<float>(size), size, dot_error(size.D), size.B == 2 ? -1 : 0);
}

TEST_CASE("cuda attention_backward in float: matches its definition for every length") {
  const Size size{1, GENERATE(1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97), 1, 64};
  check_backward(random_qkv<float>(size), size, dot_error(64), 0);
}

TEST_CASE("cuda attention_backward: takes scores of +-1e4") {
  const Size size{1, 130, 1, 64};
  check_backward(large_scores<bfloat16>(size), size, 0, 0);
  const Size smaller{1, 70, 1, 64};
  check_backward(large_scores<float>(smaller), smaller, 0, 0);
}

TEST_CASE("cuda attention_backward: padding takes no part where every score is very negative") {
  const Size size{1, 65, 1, 64};
  std::vector<bfloat16> qkv = random_qkv<bfloat16>(size);  // exp(0 - lse) overflows
  for (int64_t i = 0; i < int64_t(qkv.size()); ++i)
    if (i / 64 % 3 != 2) qkv[i] = bfloat16(i / 64 % 3 ? -16.0f : 16.0f);
  check_backward(qkv, size, 0, 0);
}

TEMPLATE_TEST_CASE("cuda attention_backward: a NaN reaches what depends on it", "", bfloat16,
                   float) {
  const Size size{1, 70, 2, 64};
  const auto qkv = random_qkv<TestType>(size);
  const AttentionReference forward = attention_reference(qkv, size, dot_error(64));
  std::vector<TestType> dy = normal<TestType>(size.T * 128, 2);
  dy[5 * 128 + 3] = TestType(NAN);  // of head 0: the gradient of its query, of all keys and values
  under_schedules(0, [&] {
    DeviceArray<TestType> d_qkv(qkv), y(rounded<TestType>(forward.y)), d_dy(dy), dqkv(qkv.size());
    DeviceArray<float> lse(rounded<float>(forward.lse)), delta(forward.lse.size());
    cuda::attention_backward<TestType>(nullptr, d_qkv, y, lse, d_dy, delta, dqkv, 1, size.T, 2, 64);
    const auto got = dqkv.get();
    for (int64_t t = 0; t < size.T; ++t)
      for (int64_t c = 0; c < 3 * 128; ++c) {
        const bool head0 = c % 128 < 64;
        const bool reached = c < 128 ? t == 5 : c < 2 * 128 || c % 128 == 3;
        CAPTURE(t, c);
        REQUIRE(std::isnan(float(got[t * 384 + c])) == (head0 && reached));
      }
  });
}

TEMPLATE_TEST_CASE("cuda attention_backward: says which widths it takes", "", bfloat16, float) {
  DeviceArray<TestType> qkv(3 * 48), y(48);
  DeviceArray<float> lse(1);
  CHECK_THROWS_WITH(
      cuda::attention_backward<TestType>(nullptr, qkv, y, lse, y, lse, qkv, 1, 1, 1, 48),
      Catch::Contains("32, 64, 80 or 128 channels") && Catch::Contains("not 48"));
}

}  // namespace fathom
