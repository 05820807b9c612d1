#include "kernels/cpu/conv.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/parallel.h"
#include "core/shape.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/slices.h"
#include "kernels/cpu/winograd.h"

namespace fathom::cpu {

template <class T>
static const ConvTable<T>& table() {
  const ConvKernels& kernels = conv_kernels();
  if constexpr (std::same_as<T, float>)
    return kernels.f32;
  else if constexpr (std::same_as<T, double>)
    return kernels.f64;
  else
    return kernels.bf16;
}

// ---- which way ----------------------------------------------------------------------------------

static bool initial_winograd() {
  const char* asked = std::getenv("FATHOM_WINOGRAD");
  const std::string_view text = asked ? asked : "";
  check(text.empty() || text == "0" || text == "1", "FATHOM_WINOGRAD=", text, ": expected 0 or 1");
  return text != "0";
}

static std::atomic<bool>& winograd_on() {
  static std::atomic<bool> on{initial_winograd()};
  return on;
}

WinogradScope::WinogradScope(bool on) : previous_(winograd_on().exchange(on)) {}
WinogradScope::~WinogradScope() { winograd_on() = previous_; }

// Larger transformed weights, 144 bytes a pair, neither fit a third-level cache nor are they worth
// their memory: their maps are small.
constexpr int64_t kWinogradPairs = 256 * 256;

template <class T>
bool uses_winograd(int64_t OC, int64_t IC) {
  return std::same_as<T, float> && std::min(OC, IC) >= 16 && OC * IC <= kWinogradPairs &&
         winograd_on().load(std::memory_order_relaxed);
}

// ---- packed weights -----------------------------------------------------------------------------

template <class T>
constexpr int64_t kPair = sizeof(T) == 2 ? 2 : 1;

/// One row of taps of one panel: [3 IC / pair][16][pair].
template <class T>
static int64_t tap_row_size(int64_t IC) {
  return round_up(3 * IC, kPair<T>) * kPanel;
}

template <class T>
int64_t packed_conv_size(int64_t OC, int64_t IC) {
  if (uses_winograd<T>(OC, IC)) return winograd_size(OC, IC);
  return ceil_div(OC, kPanel) * 3 * tap_row_size<T>(IC);
}

template <class T>
void pack_conv(const T* weight, int64_t OC, int64_t IC, ConvUse use, T* packed) {
  if constexpr (std::same_as<T, float>)
    if (uses_winograd<T>(OC, IC)) return pack_winograd(weight, OC, IC, use, packed);
  const bool flip = use == ConvUse::input_gradient;
  const int64_t outputs = flip ? IC : OC, inputs = flip ? OC : IC;
  parallel_for(ceil_div(outputs, kPanel), 1, [=](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t size = 3 * tap_row_size<T>(inputs);
      const int64_t columns = std::min<int64_t>(kPanel, outputs - p * kPanel);
      std::fill_n(packed + p * size, size, T{});
      for (int64_t ky = 0; ky < 3; ++ky)
        for (int64_t k = 0; k < 3 * inputs; ++k)  // k = kx * inputs + c
          for (int64_t j = 0; j < columns; ++j) {
            const int64_t kx = k / inputs, c = k % inputs, n = p * kPanel + j;
            packed[(p * 3 + ky) * tap_row_size<T>(inputs) + (k / kPair<T> * kPanel + j) * kPair<T> +
                   k % kPair<T>] = flip ? weight[((c * 3 + 2 - ky) * 3 + 2 - kx) * IC + n]
                                        : weight[((n * 3 + ky) * 3 + kx) * IC + c];
          }
    }
  });
}

// ---- convolutions -------------------------------------------------------------------------------

// Input rows of a task: three of them, of this many bytes at most, share the second-level cache
// with a panel of weights.
constexpr int64_t kRingBytes = 288 << 10;
constexpr int64_t kTaskProducts = int64_t(1) << 25;

template <class T>
void conv3x3(const ConvArgs<T>& g) {
  const bool resized = g.x.height != g.H || g.x.width != g.W;
  check(!(resized && g.x.mask), "conv3x3: a mask needs an input of the output's size");
  const ConvTable<T>& kernels = table<T>();
  const int64_t IC = g.x.channels;
  if constexpr (std::same_as<T, float>)
    if (uses_winograd<T>(g.OC, IC)) return conv3x3_winograd(g);
  const int64_t most = std::max<int64_t>(kRingBytes / (3 * IC * int64_t(sizeof(T))), 16);
  const int64_t columns = ceil_div(g.W, ceil_div(g.W, most));
  const int64_t strips = ceil_div(g.W, columns);
  int64_t rows = std::max<int64_t>(kTaskProducts / (columns * 9 * IC * g.OC), 1);
  rows = std::min(rows, std::max<int64_t>(ceil_div(g.B * g.H * strips, 16), 1));
  rows = ceil_div(g.H, ceil_div(g.H, std::min(rows, g.H)));
  const int64_t slabs = ceil_div(g.H, rows);

  parallel_for(g.B * slabs * strips, 1, [&](int64_t begin, int64_t end) {
    auto* memory = scratch<Sum<T>>(Scratch::task, kernels.block_scratch(g, columns));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t b = task / (slabs * strips), y0 = task / strips % slabs * rows;
      const int64_t x0 = task % strips * columns;
      kernels.block(g, b, y0, std::min(y0 + rows, g.H), x0, std::min(x0 + columns, g.W), memory);
    }
  });
}

constexpr int64_t kGradientOutputs = 70, kGradientInputs = 64, kGradientTasks = 64;

template <class T>
void conv3x3_weight_gradient(const ConvGradientArgs<T>& g) {
  const ConvTable<T>& kernels = table<T>();
  const int64_t IC = g.x.channels, count = g.OC * 9 * IC;
  if constexpr (std::same_as<T, float>)
    if (uses_winograd<T>(g.OC, IC)) return conv3x3_weight_gradient_winograd(g);
  const int64_t output_blocks = ceil_div(g.OC, kGradientOutputs);
  const int64_t outputs = ceil_div(g.OC, output_blocks);
  const int64_t inputs = std::min(IC, kGradientInputs), input_blocks = ceil_div(IC, inputs);
  const int64_t blocks = output_blocks * input_blocks;
  // A slice sums 2000 pixels or more, so that adding the slices is a small part of the work.
  const int64_t slice = slice_rows(g.B * g.H, ceil_div(2000, g.W), kGradientTasks / blocks);
  const int64_t slices = ceil_div(g.B * g.H, slice);
  Sum<T>* partials = slices == 1 ? g.dweight : scratch<Sum<T>>(Scratch::partials, slices * count);

  parallel_for(slices * blocks, 1, [&](int64_t begin, int64_t end) {
    Sum<T>* memory = scratch<Sum<T>>(Scratch::task, kernels.gradient_scratch(g, outputs, inputs));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / blocks, block = task % blocks;
      const int64_t o = block % output_blocks * outputs, i = block / output_blocks * inputs;
      ConvGradientArgs<T> part = g;
      part.dweight = partials + s * count;
      kernels.gradient(part, s * slice, std::min((s + 1) * slice, g.B * g.H), o,
                       std::min(o + outputs, g.OC), i, std::min(i + inputs, IC), memory);
    }
  });
  if (slices > 1) add_slices(partials, slices, count, g.dweight);
}

#define FATHOM_INSTANTIATE(T)                                          \
  template bool uses_winograd<T>(int64_t, int64_t);                    \
  template int64_t packed_conv_size<T>(int64_t, int64_t);              \
  template void pack_conv<T>(const T*, int64_t, int64_t, ConvUse, T*); \
  template void conv3x3<T>(const ConvArgs<T>&);                        \
  template void conv3x3_weight_gradient<T>(const ConvGradientArgs<T>&);
FATHOM_INSTANTIATE(float)
FATHOM_INSTANTIATE(double)
FATHOM_INSTANTIATE(Bf16)
#undef FATHOM_INSTANTIATE

}  // namespace fathom::cpu
