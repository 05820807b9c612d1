#include "bench/cuda/meter.h"

#include <algorithm>

#include "bench/cuda/nvml.h"
#include "core/autograd.h"
#include "core/cuda.h"
#include "core/cuda/graph.h"
#include "core/random.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/random.h"
#include "kernels/reduce.h"

namespace fathom::bench {
namespace {

using cuda::Event;
using cuda::Graph;

// The resolution of events (CUDA Runtime API, event management).
constexpr double kEventSeconds = 0.5e-6;
// Calls of one graph at most: more make it slow to build and no more exact.
constexpr int64_t kMostCalls = 256, kMostFlushes = 16;

class CudaClock {
 public:
  explicit CudaClock(int device)
      : stream_(cuda::current_stream(device)),
        begin_(device, Event::Use::timing),
        middle_(device, Event::Use::timing),
        end_(device, Event::Use::timing) {}

  CudaStream stream() const { return stream_; }

  /// Seconds from before `work` until the device has done it.
  double seconds(const std::function<void()>& work) {
    begin_.record(stream_);
    work();
    end_.record(stream_);
    end_.synchronize();
    return Event::elapsed_ms(begin_, end_) * 1e-3;
  }

  /// Of a replay; another before it keeps the device busy until this one is queued.
  double replay_s(const Graph& graph) {
    graph.replay();
    return seconds([&] { graph.replay(); });
  }

  /// Of a replay of `graph` beyond one of `less`.
  double replay_s(const Graph& graph, const Graph& less) {
    less.replay();
    begin_.record(stream_);
    less.replay();
    middle_.record(stream_);
    graph.replay();
    end_.record(stream_);
    end_.synchronize();
    const double ms = Event::elapsed_ms(middle_, end_) - Event::elapsed_ms(begin_, middle_);
    return std::max(ms * 1e-3, kEventSeconds);
  }

 private:
  CudaStream stream_;
  Event begin_, middle_, end_;
};

// Normal numbers, drawn on the device.
Tensor noise(CudaStream stream, const Shape& shape, uint64_t seed, DType dtype) {
  const NoGrad no_grad;
  Tensor x = empty(shape, {DType::f32, {Device::Type::cuda, stream.device}});
  cuda::fill_normal(stream.handle, seed, 0, 0, 1, x.device_data<float>(), x.numel());
  return x.to(dtype);
}

// A product of square matrices.
class Product {
 public:
  Product(CudaStream stream, DType dtype, int64_t side)
      : stream_(stream),
        a_(noise(stream, {side, side}, 1, dtype)),
        b_(noise(stream, {side, side}, 2, dtype)),
        c_(empty({side, side}, a_.options())) {}

  double flops() const { return 2.0 * double(a_.numel()) * double(a_.dim(0)); }

  void operator()() {
    const int64_t n = a_.dim(0);
    visit_float(a_.dtype(), [&]<class T>(Tag<T>) {
      cuda::gemm(stream_, {.dtype = a_.dtype(),
                           .c_dtype = a_.dtype(),
                           .a = a_.device_data<T>(),
                           .b = b_.device_data<T>(),
                           .c = c_.device_data<T>(),
                           .M = n,
                           .N = n,
                           .K = n});
    });
  }

 private:
  CudaStream stream_;
  Tensor a_, b_, c_;
};

// Reads a buffer: its lines fill the caches and need not be written back.
class Flush {
 public:
  Flush(CudaStream stream, int64_t bytes)
      : buffer_(noise(stream, {bytes / 4}, 3, DType::f32)), sum_(empty({}, buffer_.options())) {}
  double bytes() const { return double(buffer_.bytes()); }
  void operator()(CudaStream stream) { kernels::sum(stream, buffer_, 1, sum_); }

 private:
  Tensor buffer_, sum_;
};

// Everything that the functions of a meter share.
struct State {
  State(int device, const CudaMeterOptions& options, const CudaDevice& properties)
      : options(options),
        clock(device),
        flush(clock.stream(), options.flushed_bytes > 0
                                  ? options.flushed_bytes
                                  : std::max<int64_t>(2 * properties.l2_cache_bytes, 8 << 20)) {
    const int64_t copied = options.copied_bytes > 0
                               ? options.copied_bytes
                               : std::min<int64_t>(properties.memory_bytes / 8, int64_t(1) << 30);
    from = noise(clock.stream(), {copied / 8}, 4, DType::f32);
    to = empty(from.shape(), from.options());
    flush(clock.stream());
  }

  double copy_bytes_per_s() {
    constexpr int kCopies = 4;
    const auto copy = [&] {
      cuda::driver::copy_on_device(clock.stream().handle, to.device_data<float>(),
                                   from.device_data<float>(), from.bytes());
    };
    copy();
    const double seconds = clock.seconds([&] {
      for (int i = 0; i < kCopies; ++i) copy();
    });
    return kCopies * 2.0 * double(from.bytes()) / std::max(seconds, kEventSeconds);
  }

  double peak_flops(DType dtype) {
    auto it = products.find(dtype);
    if (it == products.end()) {
      // About 3 ms each on an H100.
      const int64_t side = options.product_side > 0 ? options.product_side
                           : dtype == DType::f32    ? 4096
                                                    : 8192;
      it = products.emplace(dtype, Product(clock.stream(), dtype, side)).first;
      it->second();  // which chooses its algorithm
    }
    Product& product = it->second;
    product();
    return product.flops() / std::max(clock.seconds([&] { product(); }), kEventSeconds);
  }

  CudaMeterOptions options;
  CudaClock clock;
  Flush flush;
  Tensor from, to;
  std::map<DType, Product> products;
};

double by_calls(State& state, const Work& work, int64_t calls) {
  if (!work.prepare)
    return state.clock.seconds([&] {
      for (int64_t i = 0; i < calls; ++i) work.call();
    });
  double seconds = 0;
  for (int64_t i = 0; i < calls; ++i) {
    work.prepare();
    seconds += state.clock.seconds(work.call);
  }
  return seconds;
}

// Null if the work waits for the device.
std::shared_ptr<Graph> captured(State& state, const Work& work, bool flushed, int64_t times) {
  if (work.prepare) work.prepare();
  const auto graph = std::make_shared<Graph>();
  try {
    graph->begin(state.clock.stream());
    if (flushed) state.flush(state.clock.stream());
    if (work.call) work.call();
    graph->end(times);
  } catch (const Error&) {
    return nullptr;
  }
  return graph;
}

Sampler sampler(const std::shared_ptr<State>& state, const Work& work, double sample_s,
                bool flushed) {
  auto graph = captured(*state, work, false, 1);
  if (!graph) return {};
  const double once_s = std::max(state->clock.replay_s(*graph), kEventSeconds);
  const int64_t most = flushed ? kMostFlushes : kMostCalls;
  const int64_t calls = std::clamp<int64_t>(int64_t(sample_s / once_s), 1, most);
  if (!flushed) {
    if (calls > 1) graph = captured(*state, work, false, calls);
    check(graph != nullptr, "bench: work that was captured once was not captured again");
    return {calls, [state, graph] { return state->clock.replay_s(*graph); }};
  }
  graph = captured(*state, work, true, calls);
  const auto flushes = captured(*state, {}, true, calls);
  check(graph && flushes, "bench: work that was captured once was not captured again");
  return {calls, [state, graph, flushes] { return state->clock.replay_s(*graph, *flushes); }};
}

}  // namespace

Meter cuda_meter(int device, CudaMeterOptions options) {
  cuda::current_stream(device);  // which checks the device
  const CudaDevice properties = cuda_devices()[size_t(device)];
  const auto state = std::make_shared<State>(device, options, properties);
  return {.device = {Device::Type::cuda, device},
          .clock = "events of the device",
          .seconds = [=](const Work& work, int64_t calls) { return by_calls(*state, work, calls); },
          .flush = [=] { state->flush(state->clock.stream()); },
          .peak_flops = [=](DType dtype) { return state->peak_flops(dtype); },
          .memory_bytes = [=] { return state->copy_bytes_per_s(); },
          .flushed_bytes = state->flush.bytes(),
          .sampler = [=](const Work& work, double sample_s,
                         bool flushed) { return sampler(state, work, sample_s, flushed); },
          .mark =
              [=] {
                const auto event = std::make_shared<Event>(device, Event::Use::timing);
                event->record(state->clock.stream());
                return event;
              },
          .between_s =
              [](const Mark& from, const Mark& to) {
                const Event &begin = *static_cast<const Event*>(from.get()),
                            &end = *static_cast<const Event*>(to.get());
                end.synchronize();
                return Event::elapsed_ms(begin, end) * 1e-3;
              },
          .memory = [=] { return cuda::memory_statistics(device); },
          .reset_peak = [=] { cuda::reset_peak_memory(device); }};
}

GpuFingerprint cuda_fingerprint(int device) {
  const CudaDevice d = cuda_devices().at(size_t(device));
  const NvmlState now = nvml_state(cuda::driver::pci_bus_id(device));
  return {.name = d.name,
          .driver = now.driver,
          .compute = std::to_string(d.compute_major) + "." + std::to_string(d.compute_minor),
          .multiprocessors = d.multiprocessors,
          .memory_bytes = d.memory_bytes,
          .l2_cache_bytes = d.l2_cache_bytes,
          .max_clock_mhz = d.clock_mhz,
          .clock_mhz = now.clock_mhz,
          .memory_clock_mhz = now.memory_clock_mhz};
}

std::map<std::string, std::string> cuda_libraries() {
  const cuda::driver::Versions versions = cuda::driver::versions();
  std::map<std::string, std::string> all{{"CUDA driver", versions.driver},
                                         {"CUDA runtime", versions.runtime},
                                         {"cuBLASLt", cuda::cublaslt_version()},
                                         {"cuDNN", cuda::cudnn_version()}};
  std::erase_if(all, [](const auto& library) { return library.second.empty(); });
  return all;
}

}  // namespace fathom::bench
