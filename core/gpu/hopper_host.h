// core/gpu/hopper.h under a host compiler; see hopper_device.h for what each function does.
#pragma once

#include <array>

namespace fathom::gpu {

inline constexpr bool kHopper = true;
template <class... P>
bool runs_hopper_code(void (*)(P...)) {
  return false;  // the path of every architecture; tests call the other one by name
}

struct TensorMap {
  void* array;
  std::array<std::uint64_t, 4> extents;  // columns, rows and two more
  std::array<std::uint64_t, 3> strides;  // of all but columns, in elements
  std::uint32_t box_rows;
};

template <class T>
TensorMap make_tensor_map(const T* array, const std::array<std::uint64_t, 4>& extents,
                          const std::array<std::uint64_t, 3>& strides, std::uint32_t box_rows) {
  static_assert(sizeof(T) == 2);
  for (const std::uint64_t stride : strides)
    if (stride % 8 != 0) throw KernelError("make_tensor_map: strides are multiples of 16 bytes");
  if (box_rows == 0 || box_rows > 256 || reinterpret_cast<std::uintptr_t>(array) % 16 != 0)
    throw KernelError("make_tensor_map: boxes have 1 to 256 rows, arrays start at 16 bytes");
  return {const_cast<T*>(array), extents, strides, box_rows};
}

class Barrier {
 public:
  void init(unsigned arrivals, host::Site site = host::Site::current());
  void arrive(host::Site site = host::Site::current()) { arrive_expect(0, site); }
  void arrive_expect(unsigned bytes, host::Site site = host::Site::current());
  void wait(unsigned parity, host::Site site = host::Site::current());

 private:
  std::uint64_t state_;  // 1 + the index of what the layer knows of this barrier
  friend void tensor_load(void*, const TensorMap&, Barrier&, int, int, int, int, host::Site);
};

inline void fence_barrier_init() {}
void fence_proxy_async();

void tensor_load(void* shared, const TensorMap& map, Barrier& barrier, int column, int row,
                 int third = 0, int fourth = 0, host::Site site = host::Site::current());

void tensor_store(const TensorMap& map, const void* shared, int column, int row, int third = 0,
                  int fourth = 0, host::Site site = host::Site::current());
void tensor_store_commit();
void tensor_store_wait_pending(int pending);
template <int Pending>
inline void tensor_store_wait() {
  tensor_store_wait_pending(Pending);
}

inline std::uint64_t tile_descriptor(const void* tile) {
  return static_cast<std::uint64_t>((shared_address(tile) & 0x3ffff) >> 4) |
         std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}

inline void wgmma_fence() {}
void wgmma_commit();
void wgmma_wait_pending(int pending, host::Site site);
template <int Pending, int N>
inline void wgmma_wait(float (&)[N], host::Site site = host::Site::current()) {
  wgmma_wait_pending(Pending, site);
}

namespace host {
struct Wgmma {
  float* c;
  const std::uint32_t* a_registers;  // null: a is a descriptor
  std::uint64_t a, b;
  int columns;  // of c
  bool bfloat, accumulate;
};
void wgmma(const Wgmma& arguments, Site site);
}  // namespace host
template <class T, int N>
inline void wgmma_transposed(float (&c)[N / 2], std::uint64_t a, std::uint64_t b, bool accumulate,
                             host::Site site = host::Site::current()) {
  static_assert(N == 32 || N == 64 || N == 96 || N == 128);
  host::wgmma({c, nullptr, a, b, N, std::is_same_v<T, __nv_bfloat16>, accumulate}, site);
}
template <class T>
inline void wgmma_rows(float (&c)[32], const std::uint32_t (&a)[4], std::uint64_t b,
                       bool accumulate, host::Site site = host::Site::current()) {
  host::wgmma({c, a, 0, b, 64, std::is_same_v<T, __nv_bfloat16>, accumulate}, site);
}

template <int>
inline void take_registers() {}
template <int>
inline void give_registers() {}

}  // namespace fathom::gpu
