#include "kernels/cuda/masked.h"

#include "kernels/cuda/launch.h"
#include "kernels/gradient_matching.h"
#include "kernels/masked_error.h"
#include "kernels/masked_statistics.h"
#include "kernels/masks.h"
#include "kernels/normalize_affine.h"
#include "kernels/trim_mask.h"
#include "kernels/weighted_mean.h"

namespace fathom {

// A batch of maps as the launchers see it.
struct Maps {
  int64_t B, N;
  explicit Maps(const Tensor& x) : B(x.dim(0)), N(x.numel() / x.dim(0)) {}
};

// Runs the launches of an op whose maps are f32.
static void launch_loss(const char* op, CudaStream stream, std::initializer_list<Tensor> inputs,
                        auto&& f) {
  cuda::launch(op, stream, inputs, [&] {
    for (const Tensor& x : inputs)
      if (x.defined() && x.dtype() == DType::f64)
        fail("on CUDA losses are computed in f32; convert with to()");
    f();
  });
}

static Tensor workspace_for(const Tensor& x) {
  const Maps maps(x);
  return empty({cuda::masked_workspace(maps.B, maps.N)}, {DType::f64, x.device()});
}

// ---- masks

static void combine(CudaStream stream, cuda::MaskPair pair, const Tensor& a, const Tensor& b,
                    Tensor& y) {
  launch_loss("mask", stream, {a, b}, [&] {
    cuda::mask_pair(stream.handle, pair, a.device_data<bool>(), b.device_data<bool>(),
                    y.device_data<bool>(), a.numel());
  });
}

void kernels::mask_and(CudaStream stream, const Tensor& a, const Tensor& b, Tensor& y) {
  combine(stream, cuda::MaskPair::kAnd, a, b, y);
}

void kernels::mask_and_not(CudaStream stream, const Tensor& a, const Tensor& b, Tensor& y) {
  combine(stream, cuda::MaskPair::kAndNot, a, b, y);
}

void kernels::mask_images(CudaStream stream, const Tensor& mask, const Tensor& keep, Tensor& y) {
  const Maps maps(mask);
  launch_loss("mask_images", stream, {mask, keep}, [&] {
    cuda::mask_images(stream.handle, mask.device_data<bool>(), keep.device_data<float>(),
                      y.device_data<bool>(), maps.B, maps.N);
  });
}

void kernels::mask_count(CudaStream stream, const Tensor& mask, Tensor& count) {
  const Maps maps(mask);
  launch_loss("mask_count", stream, {mask}, [&] {
    Tensor workspace = workspace_for(mask);
    cuda::mask_count(stream.handle, mask.device_data<bool>(), count.device_data<int32_t>(), nullptr,
                     workspace.device_data<double>(), maps.B, maps.N);
  });
}

void kernels::mask_fraction(CudaStream stream, const Tensor& mask, Tensor& y) {
  const Maps maps(mask);
  launch_loss("mask_fraction", stream, {mask, y}, [&] {
    Tensor workspace = workspace_for(mask);
    cuda::mask_count(stream.handle, mask.device_data<bool>(), nullptr, y.device_data<float>(),
                     workspace.device_data<double>(), maps.B, maps.N);
  });
}

// ---- statistics

void kernels::masked_statistics(CudaStream stream, const Tensor& x, const Tensor& mask,
                                MedianOver over, Tensor& median, Tensor& deviation, Tensor& index,
                                Tensor& count) {
  const Maps maps(x);
  const cuda::Hidden hidden =
      over == MedianOver::valid ? cuda::Hidden::kLeftOut : cuda::Hidden::kAsZero;
  launch_loss("masked_statistics", stream, {x, mask}, [&] {
    Tensor workspace = workspace_for(x);
    cuda::masked_statistics(stream.handle, x.device_data<float>(), mask.device_data<bool>(), hidden,
                            median.device_data<float>(), deviation.device_data<float>(),
                            index.device_data<int32_t>(), count.device_data<int32_t>(),
                            workspace.device_data<double>(), maps.B, maps.N);
  });
}

void kernels::usable_images(CudaStream stream, const Tensor& deviation, const Tensor& count,
                            int64_t least_count, double least_scale, Tensor& usable) {
  launch_loss("usable_images", stream, {deviation, count}, [&] {
    cuda::usable_images(stream.handle, deviation.device_data<float>(), count.device_data<int32_t>(),
                        least_count, least_scale, usable.device_data<float>(), usable.numel());
  });
}

void kernels::normalize_affine_forward(CudaStream stream, const Tensor& x, const Tensor& mask,
                                       const Tensor& median, const Tensor& deviation, Tensor& y) {
  const Maps maps(x);
  launch_loss("normalize_affine", stream, {x, mask}, [&] {
    cuda::normalize_affine_forward(stream.handle, x.device_data<float>(), mask.device_data<bool>(),
                                   median.device_data<float>(), deviation.device_data<float>(),
                                   y.device_data<float>(), maps.B, maps.N);
  });
}

void kernels::normalize_affine_backward(CudaStream stream, const Tensor& y, const Tensor& mask,
                                        const Tensor& deviation, const Tensor& index,
                                        const Tensor& count, const Tensor& dy, Tensor& dx) {
  const Maps maps(y);
  launch_loss("gradient of normalize_affine", stream, {y, mask, dy}, [&] {
    Tensor workspace = workspace_for(y);
    cuda::normalize_affine_backward(stream.handle, y.device_data<float>(), mask.device_data<bool>(),
                                    deviation.device_data<float>(), index.device_data<int32_t>(),
                                    count.device_data<int32_t>(), dy.device_data<float>(),
                                    dx.device_data<float>(), workspace.device_data<double>(),
                                    maps.B, maps.N);
  });
}

// ---- errors

static cuda::ErrorNorm error_of(kernels::ErrorKind kind) {
  return kind == kernels::ErrorKind::absolute ? cuda::ErrorNorm::kAbsolute
                                              : cuda::ErrorNorm::kSquared;
}

void kernels::masked_error_forward(CudaStream stream, const Tensor& r, const Tensor& mask,
                                   const Tensor& count, ErrorKind kind, Tensor& loss) {
  const Maps maps(r);
  launch_loss("masked_error", stream, {r, mask}, [&] {
    Tensor workspace = workspace_for(r);
    cuda::masked_error_forward(stream.handle, r.device_data<float>(), mask.device_data<bool>(),
                               count.device_data<int32_t>(), error_of(kind),
                               loss.device_data<float>(), workspace.device_data<double>(), maps.B,
                               maps.N);
  });
}

void kernels::masked_error_backward(CudaStream stream, const Tensor& r, const Tensor& mask,
                                    const Tensor& count, ErrorKind kind, const Tensor& dloss,
                                    Tensor& dr) {
  const Maps maps(r);
  launch_loss("gradient of masked_error", stream, {r, mask, dloss}, [&] {
    cuda::masked_error_backward(stream.handle, r.device_data<float>(), mask.device_data<bool>(),
                                count.device_data<int32_t>(), error_of(kind),
                                dloss.device_data<float>(), dr.device_data<float>(), maps.B,
                                maps.N);
  });
}

void kernels::trim_mask(CudaStream stream, const Tensor& r, const Tensor& mask, TrimRule rule,
                        double trim, Tensor& kept) {
  const Maps maps(r);
  launch_loss("trim_mask", stream, {r, mask}, [&] {
    cuda::trim_mask(stream.handle, r.device_data<float>(), mask.device_data<bool>(),
                    rule == TrimRule::smallest ? cuda::Trim::kSmallest : cuda::Trim::kBelowQuantile,
                    trim, kept.device_data<bool>(), maps.B, maps.N);
  });
}

void kernels::gradient_matching_forward(CudaStream stream, const Tensor& r, const Tensor& mask,
                                        const GradientMatchingOptions& options, Tensor& divisors,
                                        Tensor& loss) {
  const int64_t B = r.dim(0), H = r.dim(1), W = r.dim(2);
  const cuda::Divisor divisor =
      options.divisor == GradientDivisor::level ? cuda::Divisor::kLevel : cuda::Divisor::kImage;
  launch_loss("gradient_matching", stream, {r, mask}, [&] {
    Tensor workspace = empty({cuda::gradient_matching_workspace(B, H, W, options.levels)},
                             {DType::f64, r.device()});
    cuda::gradient_matching_forward(stream.handle, r.device_data<float>(), mask.device_data<bool>(),
                                    divisor, divisors.device_data<double>(),
                                    loss.device_data<float>(), workspace.device_data<double>(), B,
                                    H, W, options.levels);
  });
}

void kernels::gradient_matching_backward(CudaStream stream, const Tensor& r, const Tensor& mask,
                                         const Tensor& divisors, const Tensor& dloss, Tensor& dr) {
  launch_loss("gradient of gradient_matching", stream, {r, mask, dloss}, [&] {
    cuda::gradient_matching_backward(stream.handle, r.device_data<float>(),
                                     mask.device_data<bool>(), divisors.device_data<double>(),
                                     dloss.device_data<float>(), dr.device_data<float>(), r.dim(0),
                                     r.dim(1), r.dim(2), int(divisors.dim(1)));
  });
}

// ---- the mean over a batch

void kernels::weighted_mean_forward(CudaStream stream, const Tensor& x, const Tensor& weights,
                                    Tensor& y) {
  launch_loss("weighted_mean", stream, {x, weights}, [&] {
    cuda::weighted_mean_forward(stream.handle, x.device_data<float>(), weights.device_data<float>(),
                                y.device_data<float>(), x.numel());
  });
}

void kernels::weighted_mean_backward(CudaStream stream, const Tensor& weights, const Tensor& dy,
                                     Tensor& dx) {
  launch_loss("gradient of weighted_mean", stream, {weights, dy}, [&] {
    cuda::weighted_mean_backward(stream.handle, weights.device_data<float>(),
                                 dy.device_data<float>(), dx.device_data<float>(), weights.numel());
  });
}

}  // namespace fathom
