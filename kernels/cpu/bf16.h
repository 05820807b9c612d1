#pragma once

#include <cstdint>

namespace fathom::cpu {

/// The bits of a bfloat16, for the hot loops. core/dtype.h has the arithmetic type of the same
/// layout; its inline functions must not be compiled with the flags of a strong instruction set.
struct Bf16 {
  uint16_t bits;
};

}  // namespace fathom::cpu
