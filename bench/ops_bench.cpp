// Times of the ops that are not products with weights: time, GFLOP/s against the multiply-add peak
// or GB/s against the copy bandwidth, both measured around every sample of the same run.
//   fathom_ops_bench [threads] [part of a name]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/bilinear.h"
#include "kernels/cosine_alignment.h"
#include "kernels/cpu/peak_kernels.h"
#include "kernels/elementwise.h"
#include "kernels/gelu.h"
#include "kernels/layer_norm.h"
#include "kernels/layer_scale.h"
#include "kernels/position_table.h"
#include "kernels/reduce.h"
#include "kernels/silog.h"
#include "kernels/ssi_loss.h"
#include "kernels/swiglu.h"
#include "kernels/tokens.h"

namespace fathom {

// Wall time; with one thread the time this thread ran, which other processes disturb less.
static double now_s() {
  timespec t;
  clock_gettime(thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// f32 multiply-adds in registers on all threads.
static double flops_per_s() {
  constexpr int64_t kSteps = 200000;
  const int threads = thread_count();
  const auto& peak = cpu::peak_kernels();
  const double start = now_s();
  parallel_for(threads, 1, [&](int64_t, int64_t) { peak.multiply_add(kSteps); });
  return double(threads * kSteps) * double(peak.flops) / (now_s() - start);
}

// Copying between two buffers larger than the caches; bytes read and bytes written.
static double copied_bytes_per_s() {
  constexpr int64_t kBytes = 48 << 20;
  static const Tensor from = full({kBytes}, 1, {DType::u8});
  static Tensor to = full({kBytes}, 2, {DType::u8});
  const uint8_t* source = from.data<uint8_t>();
  uint8_t* target = to.data<uint8_t>();
  const double start = now_s();
  parallel_for(kBytes, 1 << 20, [=](int64_t begin, int64_t end) {
    std::memcpy(target + begin, source + begin, size_t(end - begin));
  });
  return 2.0 * kBytes / (now_s() - start);
}

enum class Bound { flops, bytes };

// The median of the shares of the larger of the two calibrations around each sample.
static void measure(const std::string& name, Bound bound, double work,
                    const std::function<void()>& f) {
  const auto calibrate = bound == Bound::flops ? flops_per_s : copied_bytes_per_s;
  f();
  double start = now_s();
  f();
  const int repeats = std::max(1, int(0.01 / (now_s() - start)));
  std::vector<double> shares, times_ms;
  for (int round = 0; round < 11; ++round) {
    const double before = calibrate();
    start = now_s();
    for (int i = 0; i < repeats; ++i) f();
    const double seconds = (now_s() - start) / repeats;
    shares.push_back(work / seconds / std::max(before, calibrate()));
    times_ms.push_back(seconds * 1e3);
  }
  std::sort(shares.begin(), shares.end());
  std::sort(times_ms.begin(), times_ms.end());
  std::printf("%-44s %d thread(s) %9.3f ms (best %9.3f) %7.1f %s, %.3f of %s (best %.3f)\n",
              name.c_str(), thread_count(), times_ms[5], times_ms[0], work / times_ms[5] * 1e-6,
              bound == Bound::flops ? "GFLOP/s" : "GB/s", shares[5],
              bound == Bound::flops ? "the f32 multiply-add peak" : "copying", shares.back());
  std::fflush(stdout);
}

struct Op {
  std::string name;
  Bound bound;
  double forward_work, backward_work;
  std::function<Tensor(const std::vector<Tensor>&)> f;
  std::vector<Tensor> inputs;
};

static Tensor noise(const Shape& shape, DType dtype = DType::f32) {
  Generator generator{1};
  return normal(shape, generator, 0, 1, {dtype});
}

// The forward pass without the tape, then what the backward pass adds: a walk over a graph that
// is recorded outside the measured time cannot be repeated, so kernels with a tape are run whole.
static void run(const Op& op) {
  {
    const NoGrad no_grad;
    measure(op.name, op.bound, op.forward_work, [&] { op.f(op.inputs); });
  }
  if (op.backward_work == 0) return;
  std::vector<Tensor> leaves;
  for (const Tensor& input : op.inputs) leaves.push_back(input.detach().set_requires_grad());
  const Tensor dy = noise(op.f(op.inputs).shape(), op.inputs[0].dtype());
  measure(op.name + ", forward + backward", op.bound, op.forward_work + op.backward_work, [&] {
    backward(op.f(leaves), dy);
    for (Tensor& leaf : leaves) leaf.clear_grad();
  });
}

// Losses of four images of 518 x 518; bytes are those of prediction, target and mask read once and
// the gradient written once, the floor of a kernel that keeps an image in a cache.
static void add_losses(std::vector<Op>& ops) {
  const Shape maps{4, 518, 518};
  const double pixels = double(maps.numel());
  const Tensor mask = full(maps, 1, {DType::boolean});
  Generator generator{2};
  const Tensor target = uniform(maps, generator, 0.1, 1);
  const Tensor prediction = uniform(maps, generator, 0.1, 1);
  const auto ssi = [=](const SsiOptions& options) {
    return [=](const auto& in) { return ssi_loss(in[0], target, mask, options).loss; };
  };
  const double forward = 9 * pixels, backward = 4 * pixels;
  ops.push_back(
      {"ssi loss V1, 4 x 518 x 518 f32", Bound::bytes, forward, backward, ssi({}), {prediction}});
  ops.push_back({"ssi loss V2 trimmed, 4 x 518 x 518 f32",
                 Bound::bytes,
                 forward,
                 backward,
                 ssi({.error = SsiError::trimmed_quantile, .gradient_weight = 2}),
                 {prediction}});
  ops.push_back({"silog 4 x 518 x 518 f32",
                 Bound::bytes,
                 forward,
                 backward,
                 [=](const auto& in) { return silog(in[0], target, mask); },
                 {prediction}});
  const Tensor teacher = uniform({4, 1369, 384}, generator, -1, 1);
  const double tokens = 4.0 * 1369 * 384 * 4;
  ops.push_back({"cosine_alignment 4 x 1369 x 384 f32",
                 Bound::bytes,
                 2 * tokens,
                 3 * tokens,
                 [=](const auto& in) { return cosine_alignment(in[0], teacher).loss; },
                 {noise({4, 1369, 384})}});
}

// The parameters of V2-S in tensors of about a transformer's size: 28 bytes a parameter.
static Op adamw_op() {
  std::vector<AdamwSlot> slots;
  for (int i = 0; i < 42; ++i) {
    const Shape shape{1536, 384};
    slots.push_back({.grad = noise(shape),
                     .weight = noise(shape),
                     .m = zeros(shape),
                     .v = zeros(shape),
                     .average = {},
                     .rounded = {},
                     .lr = 1e-6,
                     .decay = 0.01});
  }
  const double bytes = 28.0 * 42 * 1536 * 384;
  return {"adamw and norm, 24.8 M parameters f32",
          Bound::bytes,
          bytes + bytes / 7,
          0,
          [slots](const auto&) mutable {
            std::vector<Tensor> grads;
            for (const AdamwSlot& slot : slots) grads.push_back(slot.grad);
            adamw(slots, {.step = 10});
            return sum_of_squares(grads);
          },
          {}};
}

// ViT-S at 518 x 518, batch 1: 1370 tokens of 384 channels, 6 heads of 64.
static std::vector<Op> all_ops() {
  constexpr int64_t kTokens = 1370, kChannels = 384, kHeads = 6;
  std::vector<Op> ops;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::string suffix = dtype == DType::f32 ? " f32" : " bf16";
    const double size = double(size_of(dtype));
    const double products = 2.0 * kTokens * kTokens * kChannels;
    // Two products forward; backward the scores again and four gradients.
    ops.push_back({"attention 1370 x 6 x 64" + suffix,
                   Bound::flops,
                   2 * products,
                   5 * products,
                   [](const auto& in) { return attention(in[0], kHeads); },
                   {noise({1, kTokens, 3 * kChannels}, dtype)}});
    const double tokens = double(kTokens * kChannels) * size;
    ops.push_back({"layer_norm 1370 x 384" + suffix,
                   Bound::bytes,
                   2 * tokens,
                   3 * tokens,
                   [](const auto& in) { return layer_norm(in[0], in[1], in[2]); },
                   {noise({kTokens, kChannels}, dtype), noise({kChannels}, dtype),
                    noise({kChannels}, dtype)}});
    ops.push_back({"layer_scale 1370 x 384" + suffix,
                   Bound::bytes,
                   2 * tokens,
                   5 * tokens,
                   [](const auto& in) { return layer_scale(in[0], in[1]); },
                   {noise({kTokens, kChannels}, dtype), noise({kChannels}, dtype)}});
    ops.push_back({"gelu 1370 x 1536" + suffix,
                   Bound::bytes,
                   8 * tokens,
                   12 * tokens,
                   [](const auto& in) { return gelu(in[0]); },
                   {noise({kTokens, 4 * kChannels}, dtype)}});
    ops.push_back({"swiglu 1370 x 8192" + suffix,
                   Bound::bytes,
                   3.0 * kTokens * 4096 * size,
                   5.0 * kTokens * 4096 * size,
                   [](const auto& in) { return swiglu(in[0]); },
                   {noise({kTokens, 8192}, dtype)}});
    const double map = 148.0 * 148 * 64 * size;
    ops.push_back({"add 148 x 148 x 64" + suffix,
                   Bound::bytes,
                   3 * map,
                   0,
                   [](const auto& in) { return add(in[0], in[1]); },
                   {noise({1, 148, 148, 64}, dtype), noise({1, 148, 148, 64}, dtype)}});
    ops.push_back({"relu 148 x 148 x 64" + suffix,
                   Bound::bytes,
                   2 * map,
                   3 * map,
                   [](const auto& in) { return relu(in[0]); },
                   {noise({1, 148, 148, 64}, dtype)}});
    ops.push_back({"bilinear 148 -> 296, 64 channels" + suffix,
                   Bound::bytes,
                   5 * map,
                   5 * map,
                   [](const auto& in) { return interpolate_bilinear(in[0], 296, 296, true); },
                   {noise({1, 148, 148, 64}, dtype)}});
  }
  ops.push_back({"bilinear 296 -> 518, 32 channels f32",
                 Bound::bytes,
                 (296.0 * 296 + 518 * 518) * 32 * 4,
                 (296.0 * 296 + 518 * 518) * 32 * 4,
                 [](const auto& in) { return interpolate_bilinear(in[0], 518, 518, true); },
                 {noise({1, 296, 296, 32})}});
  ops.push_back({"bilinear 518 -> 1080 x 1920, a depth map f32",
                 Bound::bytes,
                 (518.0 * 518 + 1080 * 1920) * 4,
                 0,
                 [](const auto& in) { return interpolate_bilinear(in[0], 1080, 1920, true); },
                 {noise({1, 518, 518, 1})}});
  ops.push_back({"sum of 518 x 518 x 32 f32",
                 Bound::bytes,
                 518.0 * 518 * 32 * 4,
                 0,
                 [](const auto& in) { return sum(in[0]); },
                 {noise({518, 518, 32})}});
  ops.push_back({"column sums of 268324 x 32 f32",
                 Bound::bytes,
                 518.0 * 518 * 32 * 4,
                 0,
                 [](const auto& in) {
                   Tensor out = empty({32});
                   kernels::column_sum(CpuStream{}, in[0], out);
                   return out;
                 },
                 {noise({518 * 518, 32})}});
  ops.push_back({"position table 37 x 37 -> 28 x 37 x 384 f32",
                 Bound::bytes,
                 (37.0 + 28) * 37 * 384 * 4,
                 0,
                 [](const auto& in) { return interpolate_positions(in[0], 28, 37); },
                 {noise({1370, 384})}});
  ops.push_back({"assemble_tokens 1370 x 384 f32",
                 Bound::bytes,
                 3.0 * 1370 * 384 * 4,
                 0,
                 [](const auto& in) { return assemble_tokens(in[0], in[1], in[2]); },
                 {noise({1, 1369, 384}), noise({384}), noise({1370, 384})}});
  add_losses(ops);
  ops.push_back(adamw_op());
  return ops;
}

}  // namespace fathom

int main(int argc, char** argv) {
  fathom::set_thread_count(argc > 1 ? std::atoi(argv[1]) : 1, true);
  for (const fathom::Op& op : fathom::all_ops())
    if (argc < 3 || op.name.find(argv[2]) != std::string::npos) fathom::run(op);
}
