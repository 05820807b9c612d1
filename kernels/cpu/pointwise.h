#pragma once

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/cpu/pointwise_kernels.h"
#include "kernels/cpu/stored.h"

namespace fathom::cpu {

// 64 KiB of f32 a chunk: long against the cost of handing it out, short against an L2 cache.
constexpr int64_t kPointwiseGrain = 1 << 14;

/// Runs one of the pointwise loops over contiguous tensors of one dtype and size, the output last:
/// run_pointwise(&PointwiseLoops<...>::add ...) cannot name a loop of every type at once, so `pick`
/// is a generic lambda: [](const auto& loops) { return loops.add; }.
template <class Pick>
void run_pointwise(Pick pick, const Tensor& x, Tensor& y) {
  visit_float(x.dtype(), [&]<class T>(Tag<T>) {
    const auto loop = pick(loops<T>(pointwise()));
    const auto* px = stored(x.data<T>());
    auto* py = stored(y.data<T>());
    parallel_for(x.numel(), kPointwiseGrain,
                 [=](int64_t begin, int64_t end) { loop(px + begin, py + begin, end - begin); });
  });
}

template <class Pick>
void run_pointwise(Pick pick, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_float(a.dtype(), [&]<class T>(Tag<T>) {
    const auto loop = pick(loops<T>(pointwise()));
    const auto *pa = stored(a.data<T>()), *pb = stored(b.data<T>());
    auto* py = stored(y.data<T>());
    parallel_for(a.numel(), kPointwiseGrain, [=](int64_t begin, int64_t end) {
      loop(pa + begin, pb + begin, py + begin, end - begin);
    });
  });
}

}  // namespace fathom::cpu
