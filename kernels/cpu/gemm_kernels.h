#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/by_type.h"
#include "kernels/cpu/isa.h"

namespace fathom::cpu {

/// Columns of one panel of a packed matrix, for every type and instruction set.
constexpr int kPanel = 16;

enum class Activation : uint8_t { none, relu, gelu };

/// What happens to a finished sum on its way to memory, in this order; null pointers are skipped:
///   s += bias[n];  pre_activation[m,n] = s;  s = activation(s);  s *= gamma[n];
///   s = mask[m,n] > 0 ? s : 0;  s += residual[m,n];  s += residual2[m,n];  c[m,n] = s.
/// mask is the input of a ReLU whose gradient s is. residual may be c itself.
template <class T>
struct Epilogue {
  const T* bias = nullptr;
  T* pre_activation = nullptr;
  Activation activation = Activation::none;
  const T* gamma = nullptr;
  const T* mask = nullptr;
  const T* residual = nullptr;
  const T* residual2 = nullptr;
  int64_t residual_stride = 0;        // of mask and residuals; 0: the row stride of c
  int64_t pre_activation_stride = 0;  // 0: the row stride of c
};

/// c[M,N] = epilogue(a[M,K] b[K,N]), sums in float (double for double). Strides in elements.
template <class T>
struct GemmArgs {
  const T* a;
  int64_t a_stride;
  const T* b;  // packed: [ceil(N / 16)][K][16], for Bf16 [ceil(N / 16)][ceil(K / 2)][16][2]
  T* c;
  int64_t c_stride;
  int64_t M, N, K;
  Epilogue<T> epilogue;
};

/// out[I,J] = sum over m of y[m,i] x[m,j]: the gradient of a weight. x and y are row-major.
template <class T>
struct OuterArgs {
  const T* y;
  int64_t y_stride;
  const T* x;
  int64_t x_stride;
  Sum<T>* out;
  int64_t out_stride;
  int64_t M, I, J;
};

/// Rows of a packed chunk of an outer sum.
constexpr int64_t kOuterRows = 256;

/// The loops over one type. Scratch is 64-byte aligned and belongs to the caller.
template <class T>
struct GemmTable {
  int tile_rows;  // rows and panels of the register tile: multiples of these are fastest
  int tile_panels;

  /// Rows [m0, m1) and panels [p0, p1) of a product, epilogue included.
  void (*block)(const GemmArgs<T>&, int64_t m0, int64_t m1, int64_t p0, int64_t p1,
                Sum<T>* scratch);
  /// Elements of Sum<T> that `block` needs in scratch.
  int64_t (*block_scratch)(int64_t rows, int64_t panels, int64_t K);

  /// c[rows, 16 panels] = or += a[rows, K] b, without epilogue; b as in GemmArgs, its panels
  /// `panel_stride` elements apart. For attention: any number of rows and panels.
  void (*product)(const T* a, int64_t a_stride, const T* b, int64_t panel_stride, int64_t rows,
                  int64_t panels, int64_t K, Sum<T>* c, int64_t c_stride, bool accumulate);

  /// Panels [p0, p1) of b from row-major [K,N] or, transposed, from [N,K] (a weight as stored).
  void (*pack)(const T* b, int64_t b_stride, bool transposed, int64_t K, int64_t N, int64_t p0,
               int64_t p1, T* packed);

  // An outer sum goes by chunks of kOuterRows rows of y and x, packed together.
  /// Bytes of a packed chunk.
  int64_t (*outer_bytes)(int64_t I, int64_t J);
  /// Packs rows [m + k0, m + k1) of the chunk that begins at row m; k0 and k1 are even.
  void (*outer_pack)(const OuterArgs<T>&, int64_t m, int64_t k0, int64_t k1, std::byte* packed);
  /// out[i0:i1, j0:j1] = or += the products of a packed chunk of `depth` rows; i0 is a multiple of
  /// tile_rows, j0 of 16.
  void (*outer_add)(const OuterArgs<T>&, const std::byte* packed, int64_t depth, int64_t i0,
                    int64_t i1, int64_t j0, int64_t j1, bool accumulate);

  /// out[j] = sum of column j over `rows` rows.
  void (*column_sum)(const T* x, int64_t x_stride, int64_t rows, int64_t columns, Sum<T>* out);
};

struct GemmKernels {
  GemmTable<float> f32;
  GemmTable<double> f64;
  GemmTable<Bf16> bf16;
};
FATHOM_ISA_TABLES(GemmKernels, gemm_kernels)

}  // namespace fathom::cpu
