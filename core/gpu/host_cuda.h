// CUDA's own names under a host compiler; core/gpu/host.h includes this.
#pragma once

#define GPU_SHARED(name, ...)                                                            \
  static constinit const fathom::gpu::host::SharedArray name##_declaration{              \
      #name, sizeof(__VA_ARGS__), alignof(__VA_ARGS__) > 16 ? alignof(__VA_ARGS__) : 16, \
      fathom::gpu::host::granule_of<__VA_ARGS__>, fathom::gpu::host::Site::current()};   \
  auto& name = *static_cast<std::type_identity_t<__VA_ARGS__>*>(                         \
      fathom::gpu::host::shared_array(name##_declaration))

using FathomGpuSite = fathom::gpu::host::Site;

inline void __syncthreads(FathomGpuSite site = FathomGpuSite::current()) {
  fathom::gpu::host::sync_threads(fathom::gpu::host::BlockVote::none, 0, site);
}
inline int __syncthreads_count(int predicate, FathomGpuSite site = FathomGpuSite::current()) {
  return fathom::gpu::host::sync_threads(fathom::gpu::host::BlockVote::count, predicate, site);
}
inline int __syncthreads_and(int predicate, FathomGpuSite site = FathomGpuSite::current()) {
  return fathom::gpu::host::sync_threads(fathom::gpu::host::BlockVote::all, predicate, site);
}
inline int __syncthreads_or(int predicate, FathomGpuSite site = FathomGpuSite::current()) {
  return fathom::gpu::host::sync_threads(fathom::gpu::host::BlockVote::any, predicate, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, FathomGpuSite site = FathomGpuSite::current()) {
  fathom::gpu::host::sync_warp(mask, site);
}

#define FATHOM_GPU_SHUFFLE(name, kind, type)                                              \
  template <class T>                                                                      \
  FATHOM_GPU_LAYER inline T name(unsigned mask, T value, type argument, int width = 32,   \
                                 FathomGpuSite site = FathomGpuSite::current()) {         \
    static_assert(sizeof(T) <= 8);                                                        \
    fathom::gpu::host::shuffle(fathom::gpu::host::Shuffle::kind, mask, &value, sizeof(T), \
                               static_cast<unsigned>(argument), width, site);             \
    return value;                                                                         \
  }
FATHOM_GPU_SHUFFLE(__shfl_sync, index, int)
FATHOM_GPU_SHUFFLE(__shfl_up_sync, up, unsigned)
FATHOM_GPU_SHUFFLE(__shfl_down_sync, down, unsigned)
FATHOM_GPU_SHUFFLE(__shfl_xor_sync, exclusive_or, int)
#undef FATHOM_GPU_SHUFFLE

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              FathomGpuSite site = FathomGpuSite::current()) {
  return fathom::gpu::host::vote(fathom::gpu::host::Vote::ballot, mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, FathomGpuSite site = FathomGpuSite::current()) {
  return static_cast<int>(
      fathom::gpu::host::vote(fathom::gpu::host::Vote::any, mask, predicate != 0, site));
}
inline int __all_sync(unsigned mask, int predicate, FathomGpuSite site = FathomGpuSite::current()) {
  return static_cast<int>(
      fathom::gpu::host::vote(fathom::gpu::host::Vote::all, mask, predicate != 0, site));
}
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value,
                                 FathomGpuSite site = FathomGpuSite::current()) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return fathom::gpu::host::vote(fathom::gpu::host::Vote::match_any, mask, bits, site);
}
inline unsigned __activemask() { return fathom::gpu::host::active_mask(); }

#define FATHOM_GPU_REDUCE(name, type, kind)                                                    \
  inline type name(unsigned mask, type value, FathomGpuSite site = FathomGpuSite::current()) { \
    return static_cast<type>(fathom::gpu::host::reduce(fathom::gpu::host::Reduce::kind, mask,  \
                                                       static_cast<unsigned>(value), site));   \
  }
FATHOM_GPU_REDUCE(__reduce_add_sync, unsigned, add)
FATHOM_GPU_REDUCE(__reduce_add_sync, int, add)
FATHOM_GPU_REDUCE(__reduce_min_sync, unsigned, min_unsigned)
FATHOM_GPU_REDUCE(__reduce_min_sync, int, min_signed)
FATHOM_GPU_REDUCE(__reduce_max_sync, unsigned, max_unsigned)
FATHOM_GPU_REDUCE(__reduce_max_sync, int, max_signed)
FATHOM_GPU_REDUCE(__reduce_and_sync, unsigned, and_)
FATHOM_GPU_REDUCE(__reduce_or_sync, unsigned, or_)
FATHOM_GPU_REDUCE(__reduce_xor_sync, unsigned, xor_)
#undef FATHOM_GPU_REDUCE

#define FATHOM_GPU_ATOMIC(name, expression)                                       \
  template <class T>                                                              \
  FATHOM_GPU_LAYER inline T name(T* address, std::type_identity_t<T> value,       \
                                 FathomGpuSite site = FathomGpuSite::current()) { \
    return fathom::gpu::host::atomic_update(                                      \
        address, site, __builtin_return_address(0),                               \
        [&](T old) FATHOM_GPU_LAYER { return static_cast<T>(expression); });      \
  }
FATHOM_GPU_ATOMIC(atomicAdd, old + value)
FATHOM_GPU_ATOMIC(atomicSub, old - value)
FATHOM_GPU_ATOMIC(atomicExch, (static_cast<void>(old), value))
FATHOM_GPU_ATOMIC(atomicMin, value < old ? value : old)
FATHOM_GPU_ATOMIC(atomicMax, old < value ? value : old)
FATHOM_GPU_ATOMIC(atomicAnd, old& value)
FATHOM_GPU_ATOMIC(atomicOr, old | value)
FATHOM_GPU_ATOMIC(atomicXor, old ^ value)
FATHOM_GPU_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
FATHOM_GPU_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef FATHOM_GPU_ATOMIC
template <class T>
FATHOM_GPU_LAYER inline T atomicCAS(T* address, std::type_identity_t<T> expected,
                                    std::type_identity_t<T> value,
                                    FathomGpuSite site = FathomGpuSite::current()) {
  return fathom::gpu::host::atomic_update(
      address, site, __builtin_return_address(0),
      [&](T old) FATHOM_GPU_LAYER { return old == expected ? value : old; });
}

inline void __threadfence() { fathom::gpu::host::fence(); }
inline void __threadfence_block() {}
inline void __nanosleep(unsigned, FathomGpuSite site = FathomGpuSite::current()) {
  fathom::gpu::host::pause(site);
}
[[noreturn]] inline void __trap(FathomGpuSite site = FathomGpuSite::current()) {
  fathom::gpu::host::trap("__trap()", site);
}

template <class T>
inline T __ldg(const T* address) {
  return *address;
}
template <class T>
inline T __ldcs(const T* address) {
  return *address;
}
template <class T>
inline T __ldcg(const T* address) {
  return *address;
}
template <class T>
inline void __stcs(T* address, T value) {
  *address = value;
}

// glibc declares __expf and its like for itself, so these are macros.
#define __expf(x) ::expf(x)
#define __exp10f(x) ::exp10f(x)
#define __logf(x) ::logf(x)
#define __log2f(x) ::log2f(x)
#define __log10f(x) ::log10f(x)
#define __powf(x, y) ::powf(x, y)
#define __sinf(x) ::sinf(x)
#define __cosf(x) ::cosf(x)
#define __tanf(x) ::tanf(x)
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __frsqrt_rn(float x) { return 1.0f / std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline int __float2int_rd(float x) { return static_cast<int>(std::floor(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }

inline unsigned __float_as_uint(float x) {
  unsigned r;
  std::memcpy(&r, &x, 4);
  return r;
}
inline int __float_as_int(float x) {
  int r;
  std::memcpy(&r, &x, 4);
  return r;
}
inline float __uint_as_float(unsigned x) {
  float r;
  std::memcpy(&r, &x, 4);
  return r;
}
inline float __int_as_float(int x) {
  float r;
  std::memcpy(&r, &x, 4);
  return r;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
  return r;
}
inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<unsigned long long>(x) * y >> 32);
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  const unsigned long long bytes = static_cast<unsigned long long>(y) << 32 | x;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i)
    r |= static_cast<unsigned>(bytes >> (8 * (s >> (4 * i) & 7)) & 0xff) << (8 * i);
  return r;
}

#define FATHOM_GPU_MIN_MAX(type)                               \
  constexpr type min(type a, type b) { return b < a ? b : a; } \
  constexpr type max(type a, type b) { return a < b ? b : a; }
FATHOM_GPU_MIN_MAX(int)
FATHOM_GPU_MIN_MAX(unsigned)
FATHOM_GPU_MIN_MAX(long)
FATHOM_GPU_MIN_MAX(unsigned long)
FATHOM_GPU_MIN_MAX(long long)
FATHOM_GPU_MIN_MAX(unsigned long long)
FATHOM_GPU_MIN_MAX(double)
#undef FATHOM_GPU_MIN_MAX
inline float min(float a, float b) { return std::fmin(a, b); }  // CUDA's drop a NaN operand
inline float max(float a, float b) { return std::fmax(a, b); }
