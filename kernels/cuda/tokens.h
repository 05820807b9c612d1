#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind fathom::assemble_tokens: [class token | registers | patches], positions
/// added to all but the registers.
///
/// patches: [B, P, D] of T: float, float16 or bfloat16; cls: [D]; positions: [1 + P, D];
/// registers: [R, D], null when R = 0; y: [B, 1 + R + P, D]. Gradients likewise, summed over the
/// batch in order.
template <class T>
void assemble_tokens_forward(CUstream_st* stream, const T* patches, const T* cls,
                             const T* positions, const T* registers, T* y, int64_t B, int64_t P,
                             int64_t R, int64_t D);
template <class T>
void assemble_tokens_backward(CUstream_st* stream, const T* dy, T* dpatches, T* dcls, T* dpositions,
                              T* dregisters, int64_t B, int64_t P, int64_t R, int64_t D);

}  // namespace fathom::cuda
