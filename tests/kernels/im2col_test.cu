#include "kernels/cuda/im2col.h"

#include "tests/kernel_host/testing.h"

namespace fathom {
namespace {

// One vector wide or not, strided, padded, cut at the border, more than a block of 256 pieces.
const std::vector<Im2col> kShapes{
    {1, 1, 1, 1, 1, 1, 1, 0},      {2, 5, 7, 3, 3, 3, 1, 1}, {2, 5, 7, 8, 3, 3, 2, 1},
    {1, 6, 8, 16, 3, 3, 2, 1},     {1, 5, 7, 2, 2, 2, 2, 0}, {1, 3, 2, 3, 5, 1, 1, 4},
    {1, 28, 14, 3, 14, 14, 14, 0}, {1, 2, 3, 1, 1, 1, 3, 2}, {2, 4, 3, 17, 2, 3, 1, 0},
};

template <class T>
void check_im2col() {
  for (const Im2col& s : kShapes) {
    CAPTURE(dtype_of<T>(), s.H, s.W, s.C, s.kernel_h, s.kernel_w, s.stride, s.pad);
    const Tensor x = random_tensor({s.B, s.H, s.W, s.C}, {dtype_of<T>()});
    const Tensor dcolumns = random_tensor({s.rows(), s.columns()}, {dtype_of<T>()}, 2);
    Tensor columns = empty_like(dcolumns), dx = empty_like(x);
    kernels::im2col(CpuStream{}, s, x, columns);
    kernels::col2im(CpuStream{}, s, dcolumns, dx);

    const auto vector_of = [](const Tensor& t) {
      return std::vector<T>(t.data<T>(), t.data<T>() + t.numel());
    };
    const DeviceArray<T> device_x(vector_of(x)), device_dcolumns(vector_of(dcolumns));
    const DeviceArray<T> device_columns(size_t(columns.numel())), device_dx(size_t(dx.numel()));
    cuda::im2col<T>(nullptr, s, device_x, device_columns);
    cuda::col2im<T>(nullptr, s, device_dcolumns, device_dx);
    CHECK(widened(device_columns.get()) == values(columns));
    CHECK(widened(device_dx.get()) == values(dx));  // the same float sums in the same order
  }
}

TEST_CASE("cuda im2col: gives the bits of the CPU, and so does its adjoint") {
  under_schedules(1, [] {
    check_im2col<float>();
    check_im2col<bfloat16>();
    check_im2col<float16>();
  });
}

}  // namespace
}  // namespace fathom
