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
  return cuda::prefers_attention_wgmma<bfloat16>(129, 64);
#endif
}

template <class E>
void check(const std::vector<E>& qkv, const Size& s, double score_error, int schedules) {
  if (!runs()) return;
  const auto forward = [&](const E* in, E* y, float* lse) {
    cuda::attention_forward_wgmma<E>(nullptr, in, y, lse, s.B, s.T, s.heads);
  };
  check_attention(forward, qkv, s, score_error, schedules);
}

}  // namespace

TEST_CASE("cuda attention by wgmma: matches its definition for every width of the last tile") {
  const int64_t T = GENERATE(129, 160, 161, 200, 225, 256, 257);
  const Size size{1, T, 1, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), T == 200 ? 1 : 0);
}

TEST_CASE("cuda attention by wgmma: matches its definition for an image of 518 x 518") {
  const Size size{1, 1370, 1, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention by wgmma: goes round with several images and odd heads") {
  const Size size{2, 130, 3, 64};
  check(random_qkv<bfloat16>(size), size, dot_error(64), 0);
  check(random_qkv<float16>(size), size, dot_error(64), -1);
}

TEST_CASE("cuda attention by wgmma: scores of +-1e4 are exact to rounding") {
  const Size size{1, 133, 1, 64};
  check(large_scores<bfloat16>(size), size, 0, -1);
}

TEST_CASE("cuda attention by wgmma: a NaN reaches what depends on it") {
  if (!runs()) return;
  const Size size{1, 140, 2, 64};
  std::vector<bfloat16> qkv = random_qkv<bfloat16>(size);
  qkv[(5 * 3 + 0) * 128 + 3] = bfloat16(NAN);         // a query of head 0
  qkv[(139 * 3 + 2) * 128 + 64 + 9] = bfloat16(NAN);  // a value of head 1: a channel of all tokens
  DeviceArray<bfloat16> in(qkv), y(size.T * 128);
  cuda::attention_forward_wgmma<bfloat16>(nullptr, in, y, nullptr, 1, size.T, 2);
  const auto got = y.get();
  for (int64_t t = 0; t < size.T; ++t)
    for (int64_t c = 0; c < 128; ++c)
      REQUIRE(std::isnan(float(got[t * 128 + c])) == ((t == 5 && c < 64) || c == 64 + 9));
}

TEST_CASE("cuda attention by wgmma: says how many tokens it takes") {
  DeviceArray<bfloat16> in(3 * 64), y(64);
  CHECK_THROWS_WITH(cuda::attention_forward_wgmma<bfloat16>(nullptr, in, y, nullptr, 1, 1, 1),
                    Catch::Contains("more than 128 tokens, not 1"));
}

}  // namespace fathom
