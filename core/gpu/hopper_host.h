// core/gpu/hopper.h under a host compiler; see hopper_device.h for what each function does.
#pragma once

namespace fathom::gpu {

struct TensorMap {
  const void* matrix;
  std::uint64_t rows, columns;
  std::uint32_t box_rows;
};

template <class T>
TensorMap make_tensor_map(const T* matrix, std::uint64_t rows, std::uint64_t columns,
                          std::uint32_t box_rows) {
  static_assert(sizeof(T) == 2);
  if (columns % 8 != 0 || box_rows == 0 || box_rows > 256 ||
      reinterpret_cast<std::uintptr_t>(matrix) % 16 != 0)
    throw KernelError("make_tensor_map: rows are multiples of 16 bytes, boxes have 1 to 256 rows");
  return {matrix, rows, columns, box_rows};
}

class Barrier {
 public:
  void init(unsigned arrivals, host::Site site = host::Site::current());
  void arrive(host::Site site = host::Site::current()) { arrive_expect(0, site); }
  void arrive_expect(unsigned bytes, host::Site site = host::Site::current());
  void wait(unsigned parity, host::Site site = host::Site::current());

 private:
  std::uint64_t state_;  // 1 + the index of what the layer knows of this barrier
  friend void tensor_load(void*, const TensorMap&, Barrier&, int, int, host::Site);
};

inline void fence_barrier_init() {}
void fence_proxy_async();

void tensor_load(void* shared, const TensorMap& map, Barrier& barrier, int column, int row,
                 host::Site site = host::Site::current());

inline std::uint64_t tile_descriptor(const void* tile) {
  return static_cast<std::uint64_t>((shared_address(tile) & 0x3ffff) >> 4) |
         std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}

inline void wgmma_fence() {}
void wgmma_commit();
void wgmma_wait_pending(int pending, host::Site site);
template <int Pending>
inline void wgmma_wait(host::Site site = host::Site::current()) {
  wgmma_wait_pending(Pending, site);
}
void wgmma_m64n64k16_bf16(float (&c)[32], std::uint64_t a, std::uint64_t b, bool accumulate,
                          host::Site site = host::Site::current());

template <int>
inline void take_registers() {}
template <int>
inline void give_registers() {}

}  // namespace fathom::gpu
