#include "kernels/cuda/resample.h"

#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/resample.h"

namespace fathom {

// The tables of an axis in the device's memory.
struct UploadedTaps {
  Tensor begin, index, weight;

  UploadedTaps(const AxisTaps& taps, Device device)
      : begin(upload<int32_t>(taps.begin, device)),
        index(upload<int32_t>(taps.index, device)),
        weight(upload<float>(taps.weight, device)) {}

  cuda::DeviceTaps on_device() const {
    return {begin.device_data<int32_t>(), index.device_data<int32_t>(),
            weight.device_data<float>()};
  }

 private:
  template <class T>
  static Tensor upload(const auto& values, Device device) {
    Tensor host = empty({int64_t(values.size())}, {dtype_of<T>()});
    std::transform(values.begin(), values.end(), host.data<T>(), [](auto v) { return T(v); });
    return host.to(device);
  }
};

void kernels::resample(CudaStream stream, const Tensor& x, const AxisTaps& rows,
                       const AxisTaps& columns, Tensor& y) {
  cuda::launch_float("resample", stream, {x, y}, [&]<class T>(Tag<T>) {
    const UploadedTaps down(rows, x.device()), right(columns, x.device());
    cuda::resample(stream.handle, x.device_data<T>(), down.on_device(), right.on_device(),
                   y.device_data<T>(), x.dim(0), x.dim(1), x.dim(2), x.dim(3), y.dim(1), y.dim(2));
  });
}

}  // namespace fathom
