#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// The launchers behind fathom::cosine_alignment.
///
/// student, teacher, dstudent: [B, T, C] of E: float, float16 or bfloat16.
/// loss, dloss: [B]; kept: [B]. workspace: [B, T] float.
struct Alignment {
  double margin;
  bool divide_by_kept;
};
template <class E>
void cosine_alignment_forward(CUstream_st* stream, const E* student, const E* teacher,
                              const Alignment& alignment, float* loss, int32_t* kept,
                              float* workspace, int64_t B, int64_t T, int64_t C);
template <class E>
void cosine_alignment_backward(CUstream_st* stream, const E* student, const E* teacher,
                               const Alignment& alignment, const int32_t* kept, const float* dloss,
                               E* dstudent, int64_t B, int64_t T, int64_t C);

}  // namespace fathom::cuda
