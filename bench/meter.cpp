#include "bench/meter.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/cpu/peak_kernels.h"

namespace fathom::bench {

static double now_s(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

static double timed(clockid_t clock, const Work& work, int64_t calls) {
  if (!work.prepare) {
    const double start = now_s(clock);
    for (int64_t i = 0; i < calls; ++i) work.call();
    return now_s(clock) - start;
  }
  double seconds = 0;
  for (int64_t i = 0; i < calls; ++i) {
    work.prepare();
    const double start = now_s(clock);
    work.call();
    seconds += now_s(clock) - start;
  }
  return seconds;
}

// Half a millisecond on a fast core: shorter than a clock change, longer than a wake-up.
static double peak(clockid_t clock, DType dtype) {
  constexpr int64_t kSteps = 200000;
  const cpu::PeakKernels& kernels = cpu::peak_kernels();
  const bool pairs = dtype == DType::bf16 && kernels.multiply_add_bf16;
  const auto kernel = pairs ? kernels.multiply_add_bf16 : kernels.multiply_add;
  // f64 has half the lanes; f16, and bf16 without an instruction of its own, is computed as f32.
  const double factor = pairs ? 2 : dtype == DType::f64 ? 0.5 : 1;
  const int threads = thread_count();
  const double start = now_s(clock);
  parallel_for(threads, 1, [&](int64_t, int64_t) { kernel(kSteps); });
  return factor * double(threads * kSteps * kernels.flops) / (now_s(clock) - start);
}

static int64_t last_level_cache_bytes() {
  const int64_t l3 = ::sysconf(_SC_LEVEL3_CACHE_SIZE), l2 = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  return std::max<int64_t>({l3, l2, 8 << 20});
}

// Changes a buffer in place that is twice the last cache, which a virtual machine may share with
// others. In place, because every byte of the traffic then counts: a store to memory that was not
// read before makes many CPUs read it first.
class Stream {
 public:
  double bytes() const { return 2.0 * double(bytes_); }  // read and written
  void run() {
    if (!buffer_.defined()) buffer_ = full({bytes_ / 8}, 1, {DType::i64});
    int64_t* data = buffer_.data<int64_t>();
    parallel_for(bytes_ / 8, 1 << 17, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) data[i] ^= 1;
    });
  }

 private:
  const int64_t bytes_ = std::clamp<int64_t>(2 * last_level_cache_bytes(), 64 << 20, 512 << 20);
  Tensor buffer_;
};

using Clock = std::chrono::steady_clock;

Mark wall_mark() { return std::make_shared<Clock::time_point>(Clock::now()); }

double wall_between_s(const Mark& from, const Mark& to) {
  const auto at = [](const Mark& mark) {
    return *static_cast<const Clock::time_point*>(mark.get());
  };
  return std::chrono::duration<double>(at(to) - at(from)).count();
}

Meter cpu_meter() {
  const bool alone = thread_count() == 1;
  const clockid_t clock = alone ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const auto stream = std::make_shared<Stream>();
  return {.device = kCpu,
          .clock = alone ? "CPU time of the thread" : "wall time",
          .seconds = [=](const Work& work, int64_t calls) { return timed(clock, work, calls); },
          .flush = [=] { stream->run(); },
          .peak_flops = [=](DType dtype) { return peak(clock, dtype); },
          .memory_bytes =
              [=] {
                const double start = now_s(clock);
                stream->run();
                return stream->bytes() / (now_s(clock) - start);
              },
          .flushed_bytes = stream->bytes()};
}

}  // namespace fathom::bench
