#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/peak_kernels.h"

namespace fathom::cpu::FATHOM_ISA {

// Enough chains to cover the latency of 4 to 5 cycles on two units.
constexpr int kChains = 12;

static float multiply_add(int64_t steps) {
  Vec<float> chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = broadcast(float(i));
  Vec<float> scale = broadcast(0.999999f), shift = broadcast(1e-6f);
  for (int64_t step = 0; step < steps; ++step) {
    asm volatile("" : "+x"(scale), "+x"(shift));  // every step is computed
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = fma(chains[i], scale, shift);
  }
  for (int i = 1; i < kChains; ++i) chains[0] += chains[i];
  return sum(chains[0]);
}

#if defined(__AVX512BF16__)
static float multiply_add_bf16(int64_t steps) {
  Vec<float> chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = broadcast(float(i));
  // Pairs of bf16: 1 and 0, so that the sums stay finite.
  Vec<float> a = broadcast(1.0f), b = broadcast(1e-6f);
  for (int64_t step = 0; step < steps; ++step) {
    asm volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i)
      chains[i] = _mm512_dpbf16_ps(chains[i], bits_as<__m512bh>(a), bits_as<__m512bh>(b));
  }
  for (int i = 1; i < kChains; ++i) chains[0] += chains[i];
  return sum(chains[0]);
}
#else
static constexpr float (*multiply_add_bf16)(int64_t) = nullptr;
#endif

extern const PeakKernels peak_kernels;
const PeakKernels peak_kernels{.flops = 2 * kChains * kFloats,
                               .multiply_add = multiply_add,
                               .multiply_add_bf16 = multiply_add_bf16};

}  // namespace fathom::cpu::FATHOM_ISA
