#pragma once

#include "core/dtype.h"
#include "kernels/cpu/gemm_kernels.h"

namespace fathom::cpu {

// T is float, double or Bf16 below. No result depends on the number of threads.

/// Elements of a packed [K,N] matrix: N in panels of 16, zeros at the edges.
template <class T>
int64_t packed_size(int64_t K, int64_t N);

/// Packs row-major b, [K,N] or, transposed, [N,K] (a linear layer's weight as it is stored), into
/// the order that gemm() reads. The order is the same for every instruction set.
template <class T>
void pack(const T* b, int64_t b_stride, bool transposed, int64_t K, int64_t N, T* packed);
/// The inverse, into row-major [N,K]. Plain loops: for checkpoints.
template <class T>
void unpack_transposed(const T* packed, int64_t K, int64_t N, T* b);

/// c = epilogue(a b). Compute bound: 2 M N K FLOP.
template <class T>
void gemm(const GemmArgs<T>& args);

/// out[i,j] = sum over m of y[m,i] x[m,j], in accumulation precision: with y = dY and x = X the
/// gradient of a weight [I,J]. M is cut into slices that depend on the shape only; their sums are
/// added in order.
template <class T>
void outer_sum(const OuterArgs<T>& args);

/// out[j] = sum over m of x[m,j]: the gradient of a bias. Same order of sums for any thread count.
template <class T>
void column_sum(const T* x, int64_t x_stride, int64_t M, int64_t J, Sum<T>* out);

}  // namespace fathom::cpu
