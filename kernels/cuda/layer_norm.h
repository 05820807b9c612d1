#pragma once

#include <cstdint>

struct CUstream_st;

namespace fathom::cuda {

/// Rows of which the first few are left out: those of tokens that are not patches.
struct ImageRows {
  int64_t skip = 0;
  int64_t kept = 1;  // rows of an image that follow them
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias along rows of C elements; the launcher behind
/// fathom::layer_norm.
///
/// x:          [rows, C] of T: float, float16 or bfloat16; with rows left out of every image as
///             `images` says, [B * (skip + kept), C] with rows = B * kept.
/// y:          [rows, C] of T.
/// weight:     [C] of P: T or float; bias likewise.
/// mean, rstd: [rows], for the backward pass; null when nobody needs them.
/// Any C; multiples of 16 bytes up to C = 1536 are read once.
template <class T, class P>
void layer_norm_forward(CUstream_st* stream, const T* x, const P* weight, const P* bias, float eps,
                        T* y, float* mean, float* rstd, int64_t rows, int64_t C,
                        ImageRows images = {});

/// The gradients of layer_norm_forward, with g = weight * dy and h = (x - mean) * rstd:
///   dx = rstd * (g - mean(g) - h * mean(g h)) + dresidual, dweight = sum of dy h, dbias of dy.
///
/// x, dx:          [rows, C] of X: T or, for a residual stream in float, float; with rows left out
///                 as in the forward pass, where dx is dresidual.
/// weight:         [C] of P: T or float; dweight and dbias likewise.
/// mean, rstd:     [rows], from the forward pass.
/// dy:             [rows, C] of T.
/// dresidual:      [rows, C] of X, the gradient that reaches x past the norm; may be null, and may
///                 be dx.
/// dx_rounded:     [rows, C] of T, a copy of dx for the next product; may be null.
/// workspace:      [layer_norm_workspace(rows, C)] float. rows are those of dy.
/// Sums over the rows in a fixed order. Any C; multiples of 16 bytes up to C = 1536 are read once.
template <class X, class T, class P>
void layer_norm_backward(CUstream_st* stream, const X* x, const P* weight, const float* mean,
                         const float* rstd, const T* dy, const X* dresidual, X* dx, T* dx_rounded,
                         P* dweight, P* dbias, float* workspace, int64_t rows, int64_t C,
                         ImageRows images = {});
int64_t layer_norm_workspace(int64_t rows, int64_t C);

}  // namespace fathom::cuda
