#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// Bilinear resize of maps; the launcher behind fathom::interpolate_bilinear.
///
/// x: [B, H, W, C] of T: float, float16 or bfloat16; y: [B, height, width, C] of T.
/// align_corners as in PyTorch: true maps the centres of the corner pixels onto each other, false
/// the outer edges of the image.
template <class T>
void bilinear_forward(CUstream_st* stream, const T* x, T* y, int64_t B, int64_t H, int64_t W,
                      int64_t C, int64_t height, int64_t width, bool align_corners);

/// The adjoint: every input pixel gathers from the output pixels that it was a tap of, in a fixed
/// order. dy: [B, height, width, C] of T; dx: [B, H, W, C] of T.
template <class T>
void bilinear_backward(CUstream_st* stream, const T* dy, T* dx, int64_t B, int64_t H, int64_t W,
                       int64_t C, int64_t height, int64_t width, bool align_corners);

}  // namespace fathom::cuda
