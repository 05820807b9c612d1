#pragma once

#include <string_view>

namespace fathom::cpu {

/// Instruction sets that the hot loops under kernels/cpu/isa are compiled for, weakest first.
enum class Isa { generic, avx2, avx512, avx512bf16 };

std::string_view name_of(Isa isa);

/// The strongest set that this CPU, its operating system and this binary support.
Isa best_isa();

/// The set in use: best_isa(), or what FATHOM_ISA or an IsaScope asks for.
Isa isa();

/// Uses another instruction set until the end of the scope; for tests and benchmarks. Affects the
/// whole process. Throws Error when the CPU does not support it.
class IsaScope {
 public:
  explicit IsaScope(Isa isa);
  ~IsaScope();
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  Isa previous_;
};

/// Chooses among the tables of one kernel family. Every file under kernels/cpu/isa defines its
/// table once per set, as fathom::cpu::<set>::<family>; a family's header declares the four with
/// FATHOM_ISA_TABLES and offers `const Table& family()`.
template <class Table>
const Table& pick(const Table& generic, const Table& avx2, const Table& avx512,
                  const Table& avx512bf16) {
  switch (isa()) {
    case Isa::generic: return generic;
    case Isa::avx2: return avx2;
    case Isa::avx512: return avx512;
    case Isa::avx512bf16: return avx512bf16;
  }
  return generic;
}

}  // namespace fathom::cpu

#if defined(__x86_64__)
/// Declares the tables of a family and the function `family()` that returns the one in use.
#define FATHOM_ISA_TABLES(Table, family)                                            \
  namespace generic {                                                               \
  extern const Table family;                                                        \
  }                                                                                 \
  namespace avx2 {                                                                  \
  extern const Table family;                                                        \
  }                                                                                 \
  namespace avx512 {                                                                \
  extern const Table family;                                                        \
  }                                                                                 \
  namespace avx512bf16 {                                                            \
  extern const Table family;                                                        \
  }                                                                                 \
  inline const Table& family() {                                                    \
    return pick(generic::family, avx2::family, avx512::family, avx512bf16::family); \
  }
#else
#define FATHOM_ISA_TABLES(Table, family) \
  namespace generic {                    \
  extern const Table family;             \
  }                                      \
  inline const Table& family() { return generic::family; }
#endif
