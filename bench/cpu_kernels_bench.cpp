// Fractions of the FMA peak that the CPU kernels reach; the peak is measured right before and after
// every sample, because the machine's clock and its other work change all the time.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/conv.h"
#include "kernels/cpu/peak_kernels.h"

namespace fathom::cpu {

/// Wall time; with one thread the time this thread ran, which other processes disturb less.
static double now_s() {
  timespec t;
  clock_gettime(thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

/// FLOP/s of independent f32 multiply-adds on all threads, now.
static double peak() {
  constexpr int64_t kSteps = 200000;
  const int threads = thread_count();
  const double start = now_s();
  parallel_for(threads, 1, [&](int64_t, int64_t) { peak_kernels().multiply_add(kSteps); });
  return double(threads * kSteps) * peak_kernels().flops / (now_s() - start);
}

/// The median over rounds of (FLOP/s of f) / (larger of the peaks around it), and the best FLOP/s.
template <class F>
static void measure(const std::string& name, double flops, F&& f) {
  f();
  const double start = now_s();
  f();
  const int repeats = std::max(1, int(0.005 / (now_s() - start)));
  std::vector<double> fractions;
  double best = 0;
  for (int round = 0; round < 21; ++round) {
    const double before = peak(), begin = now_s();
    for (int i = 0; i < repeats; ++i) f();
    const double rate = flops * repeats / (now_s() - begin);
    fractions.push_back(rate / std::max(before, peak()));
    best = std::max(best, rate);
  }
  std::sort(fractions.begin(), fractions.end());
  std::printf("%-34s %d thread(s)  %.3f of the f32 peak (max %.3f), best %6.1f GFLOP/s\n",
              name.c_str(), thread_count(), fractions[fractions.size() / 2], fractions.back(),
              best / 1e9);
  std::fflush(stdout);
}

template <class T>
static std::vector<T> random_values(int64_t count) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  std::vector<T> values(count);
  for (T& value : values) {
    if constexpr (sizeof(T) == 2)
      value = {bfloat16(normal(generator)).bits};
    else
      value = normal(generator);
  }
  return values;
}

template <class T>
static void gemm_forward(const std::string& type, int64_t M, int64_t K, int64_t N) {
  const auto a = random_values<T>(M * K), w = random_values<T>(N * K), bias = random_values<T>(N);
  std::vector<T> packed(packed_size<T>(K, N) + 64), c(M * N);
  T* b = packed.data();
  while (reinterpret_cast<uintptr_t>(b) % 64) ++b;
  pack(w.data(), K, true, K, N, b);
  measure(
      "gemm " + type + " " + std::to_string(M) + " " + std::to_string(K) + "->" + std::to_string(N),
      2.0 * M * N * K, [&] {
        gemm<T>({.a = a.data(),
                 .a_stride = K,
                 .b = b,
                 .c = c.data(),
                 .c_stride = N,
                 .M = M,
                 .N = N,
                 .K = K,
                 .epilogue = {.bias = bias.data()}});
      });
}

template <class T>
static void gemm_weight_gradient(const std::string& type, int64_t M, int64_t K, int64_t N) {
  const auto x = random_values<T>(M * K), dy = random_values<T>(M * N);
  std::vector<float> out(N * K);
  measure(
      "dW   " + type + " " + std::to_string(M) + " " + std::to_string(K) + "->" + std::to_string(N),
      2.0 * M * N * K, [&] {
        outer_sum<T>({.y = dy.data(),
                      .y_stride = N,
                      .x = x.data(),
                      .x_stride = K,
                      .out = out.data(),
                      .out_stride = K,
                      .M = M,
                      .I = N,
                      .J = K});
      });
}

template <class T>
static void conv_forward(const std::string& type, int64_t C, int64_t side) {
  const auto x = random_values<T>(side * side * C), w = random_values<T>(C * 9 * C);
  std::vector<T> packed(packed_conv_size<T>(C, C) + 64), y(side * side * C);
  T* weight = packed.data();
  while (reinterpret_cast<uintptr_t>(weight) % 64) ++weight;
  pack_conv(w.data(), C, C, ConvUse::forward, weight);
  measure("conv " + type + " " + std::to_string(C) + " channels " + std::to_string(side),
          18.0 * side * side * C * C, [&] {
            conv3x3<T>(
                {.x = {.map = x.data(), .height = side, .width = side, .channels = C, .relu = true},
                 .weight = weight,
                 .y = y.data(),
                 .B = 1,
                 .H = side,
                 .W = side,
                 .OC = C,
                 .epilogue = {},
                 .head = {}});
          });
}

template <class T>
static void conv_weight_gradient(const std::string& type, int64_t C, int64_t side) {
  const auto x = random_values<T>(side * side * C), dy = random_values<T>(side * side * C);
  std::vector<float> dweight(C * 9 * C);
  measure("conv dW " + type + " " + std::to_string(C) + " channels " + std::to_string(side),
          18.0 * side * side * C * C, [&] {
            conv3x3_weight_gradient<T>(
                {.x = {.map = x.data(), .height = side, .width = side, .channels = C, .relu = true},
                 .dy = dy.data(),
                 .dy_mask = nullptr,
                 .B = 1,
                 .H = side,
                 .W = side,
                 .OC = C,
                 .dweight = dweight.data()});
          });
}

static void run(const std::string& what) {
  const auto wanted = [&](const char* name) { return what.empty() || what == name; };
  const int64_t shapes[][2] = {{384, 1152}, {384, 384}, {384, 1536}, {1536, 384}};
  for (const auto& [K, N] : shapes)
    if (wanted("gemm")) gemm_forward<float>("f32", 1370, K, N);
  for (const auto& [K, N] : shapes)
    if (wanted("bf16")) gemm_forward<Bf16>("bf16", 1370, K, N);
  for (const auto& [K, N] : shapes)
    if (wanted("dw")) gemm_weight_gradient<float>("f32", 1370, K, N);
  for (const auto& [K, N] : shapes)
    if (wanted("dw")) gemm_weight_gradient<Bf16>("bf16", 1370, K, N);
  const int64_t maps[][2] = {{64, 37}, {64, 74}, {64, 148}, {64, 296}, {32, 518}};
  for (const auto& [C, side] : maps)
    if (wanted("conv")) conv_forward<float>("f32", C, side);
  for (const auto& [C, side] : maps)
    if (wanted("conv_bf16")) conv_forward<Bf16>("bf16", C, side);
  for (const auto& [C, side] : maps)
    if (wanted("conv_dw")) conv_weight_gradient<float>("f32", C, side);
  for (const auto& [C, side] : maps)
    if (wanted("conv_dw_bf16")) conv_weight_gradient<Bf16>("bf16", C, side);
}

}  // namespace fathom::cpu

/// fathom_cpu_bench [threads [gemm | bf16 | conv | ...]]
int main(int argc, char** argv) {
  using namespace fathom;
  const std::string what = argc > 2 ? argv[2] : "";
  const int most = argc > 1 ? std::atoi(argv[1]) : 2;
  std::printf("%s\n", std::string(cpu::name_of(cpu::isa())).c_str());
  for (int threads = argc > 1 ? most : 1; threads <= most; ++threads) {
    set_thread_count(threads, true);
    std::printf("peak f32, %d thread(s): %.1f GFLOP/s\n", threads, cpu::peak() / 1e9);
    cpu::run(what);
  }
}
