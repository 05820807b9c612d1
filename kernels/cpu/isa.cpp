#include "kernels/cpu/isa.h"

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace fathom::cpu {

static constexpr std::array kAll{Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512bf16};

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::generic: return "generic";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512bf16: return "avx512bf16";
  }
  return "unknown";
}

// Individual features, not a model name: they include the operating system's consent (XCR0).
static Isa detect() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  if (avx512 && __builtin_cpu_supports("avx512bf16")) return Isa::avx512bf16;
  if (avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::generic;
}

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

static Isa initial_isa() {
  const char* asked = std::getenv("FATHOM_ISA");
  if (!asked || !*asked) return best_isa();
  for (const Isa isa : kAll) {
    if (name_of(isa) != asked) continue;
    check(isa <= best_isa(), "FATHOM_ISA=", asked, ": this CPU supports ", name_of(best_isa()),
          " at most");
    return isa;
  }
  fail("FATHOM_ISA=", asked, ": expected generic, avx2, avx512 or avx512bf16");
}

static std::atomic<Isa>& active() {
  static std::atomic<Isa> isa{initial_isa()};
  return isa;
}

Isa isa() { return active().load(std::memory_order_relaxed); }

IsaScope::IsaScope(Isa isa) : previous_(cpu::isa()) {
  check(isa <= best_isa(), "this CPU supports ", name_of(best_isa()), " at most, not ",
        name_of(isa));
  active() = isa;
}

IsaScope::~IsaScope() { active() = previous_; }

}  // namespace fathom::cpu
