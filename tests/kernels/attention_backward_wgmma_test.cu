#include "kernels/cuda/attention.h"
#include "tests/kernels/attention_reference.h"

namespace fathom {
namespace {

using Size = AttentionSize;

// Whether the device can run these kernels; the kernel host does.
bool runs() {
#if defined(FATHOM_KERNEL_HOST)
  return true;
#else
  return cuda::prefers_attention_backward_wgmma<bfloat16>(129, 64);
#endif
}

template <class E>
void check(const std::vector<E>& qkv, const Size& s, double score_error, int schedules) {
  if (!runs()) return;
  const auto backward = [&](const E* in, const E* y, const float* lse, const E* dy, float* delta,
                            E* dqkv) {
    cuda::attention_backward_wgmma<E>(nullptr, in, y, lse, dy, delta, dqkv, s.B, s.T, s.heads);
  };
  check_attention_gradient(backward, qkv, s, score_error, schedules);
}

}  // namespace

TEST_CASE("cuda attention_backward by wgmma: matches its definition for every length") {
  // One token, less than a step, ragged steps, more steps than stages, a second item of one row.
  const int64_t T = GENERATE(1, 63, 64, 65, 129, 200, 257);
  const Size size{1, T, 1, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), T == 65 || T == 200 ? 1 : 0);
}

TEST_CASE("cuda attention_backward by wgmma: matches its definition for many steps") {
  const Size size{1, 600, 1, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention_backward by wgmma: goes round with several images and odd heads") {
  const Size size{2, 130, 3, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), 0);
  check(random_qkv<float16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention_backward by wgmma: takes scores of +-1e4") {
  const Size size{1, 130, 1, 64};
  check(large_scores<bfloat16>(size), size, 0, -1);
}

TEST_CASE(
    "cuda attention_backward by wgmma: padding takes no part where scores are very negative") {
  const Size size{1, 65, 1, 64};
  std::vector<bfloat16> qkv = random_qkv<bfloat16>(size);  // exp(0 - lse) overflows
  for (int64_t i = 0; i < int64_t(qkv.size()); ++i)
    if (i / 64 % 3 != 2) qkv[size_t(i)] = bfloat16(i / 64 % 3 ? -16.0f : 16.0f);
  check(qkv, size, 0, 0);
}

TEST_CASE("cuda attention_backward by wgmma: a NaN reaches what depends on it") {
  if (!runs()) return;
  const Size size{1, 140, 2, 64};
  const auto qkv = random_qkv<bfloat16>(size);
  const AttentionReference forward = attention_reference(qkv, size, dot_error(64));
  std::vector<bfloat16> dy = normal<bfloat16>(size.T * 128, 2);
  dy[5 * 128 + 3] = bfloat16(NAN);  // of head 0: the gradient of its query, of all keys and values
  DeviceArray<bfloat16> d_qkv(qkv), y(rounded<bfloat16>(forward.y)), d_dy(dy), dqkv(qkv.size());
  DeviceArray<float> lse(rounded<float>(forward.lse)), delta(forward.lse.size());
  cuda::attention_backward_wgmma<bfloat16>(nullptr, d_qkv, y, lse, d_dy, delta, dqkv, 1, size.T, 2);
  const auto got = dqkv.get();
  for (int64_t t = 0; t < size.T; ++t)
    for (int64_t c = 0; c < 3 * 128; ++c) {
      const bool head0 = c % 128 < 64;
      const bool reached = c < 128 ? t == 5 : c < 2 * 128 || c % 128 == 3;
      CAPTURE(t, c);
      REQUIRE(std::isnan(float(got[size_t(t * 384 + c)])) == (head0 && reached));
    }
}

}  // namespace fathom
