#pragma once

/// Compiles a function twice, for any CPU and for AVX2, and chooses when the program starts.
/// Without contraction to FMA both give the same bits. For loops outside of kernels/cpu/isa.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(FATHOM_SANITIZE)
#define FATHOM_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define FATHOM_CLONES
#endif
