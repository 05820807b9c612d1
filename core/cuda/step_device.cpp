#include "core/step_device.h"

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "core/cuda/graph.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"

namespace fathom {
namespace {

using namespace cuda;

// Pinned memory that grows, and when the copy that uses it is done.
class Staging {
 public:
  explicit Staging(int device) : copied_(device) {}
  ~Staging() {
    try {
      if (used_) copied_.synchronize();
    } catch (const Error&) {  // of the work that the copy came after; others are told
    }
  }
  PinnedBuffer& at_least(int64_t bytes) {
    if (used_) copied_.synchronize();
    used_ = false;
    if (!buffer_ || buffer_->bytes() < bytes) buffer_.emplace(bytes);
    return *buffer_;
  }
  void copied_after(CudaStream stream) {
    copied_.record(stream);
    used_ = true;
  }
  Event& copied() { return copied_; }

 private:
  std::optional<PinnedBuffer> buffer_;
  Event copied_;
  bool used_ = false;
};

class CudaSteps : public StepDevice {
 public:
  explicit CudaSteps(CudaStream compute)
      : compute_(compute),
        copies_(compute.device),
        staged_(make_slots(compute.device)),
        read_(make_slots(compute.device)) {}

  std::vector<Tensor> upload(std::span<const Tensor> batch) override {
    std::vector<Tensor> host;
    int64_t bytes = 0;
    for (const Tensor& t : batch) {
      check(t.device() == kCpu, "upload: a tensor of the batch is on ", t.device());
      host.push_back(t.detach().contiguous());
      bytes += round_up(t.bytes(), kAlignment);
    }
    Staging& staging = *staged_[next_upload_++ % kSlots];
    PinnedBuffer& pinned = staging.at_least(bytes);
    // Memory of the copy stream: reused only when the step that reads it is done.
    const StreamScope scope(copies_);
    std::vector<Tensor> there;
    int64_t at = 0;
    for (const Tensor& t : host) {
      const std::byte* const from = t.storage()->data() + t.offset() * size_of(t.dtype());
      std::memcpy(pinned.data() + at, from, size_t(t.bytes()));
      there.push_back(empty(t.shape(), {t.dtype(), {Device::Type::cuda, compute_.device}}));
      driver::copy_in(CudaStream(copies_).handle, there.back().storage()->data(),
                      pinned.data() + at, t.bytes());
      record_use(there.back(), compute_);
      at += round_up(t.bytes(), kAlignment);
    }
    staging.copied_after(copies_);
    staging.copied().hold(compute_);
    return there;
  }

  void report(const Tensor& numbers) override {
    Reading& slot = reading_[next_report_++ % kSlots];
    collect(slot);
    Staging& staging = *read_[size_t(&slot - reading_.data())];
    slot.buffer = &staging.at_least(numbers.bytes());
    slot.count = numbers.numel();
    download(compute_, numbers, *slot.buffer);
    staging.copied_after(compute_);
  }

  std::vector<std::vector<double>> reports() override {
    for (size_t i = 0; i < kSlots; ++i) collect(reading_[(next_report_ + i) % kSlots]);
    return std::exchange(arrived_, {});
  }

  bool runs_behind() const override { return true; }

  void capture(const std::function<void()>& step) override {
    release_cached_memory(compute_.device);  // the captured step has memory of its own
    auto graph = std::make_unique<Graph>();
    graph->begin(compute_);
    step();
    graph->end();
    graph_ = std::move(graph);
  }

  void replay() override {
    check(graph_ != nullptr, "replay: no step was captured");
    graph_->replay();
  }

 private:
  static constexpr size_t kSlots = 2;
  static constexpr int64_t kAlignment = 64;

  struct Reading {
    PinnedBuffer* buffer = nullptr;
    int64_t count = 0;
  };

  static std::array<std::unique_ptr<Staging>, kSlots> make_slots(int device) {
    return {std::make_unique<Staging>(device), std::make_unique<Staging>(device)};
  }

  void collect(Reading& slot) {
    if (!slot.buffer) return;
    read_[size_t(&slot - reading_.data())]->copied().synchronize();
    std::vector<double> numbers(size_t(slot.count));
    std::memcpy(numbers.data(), slot.buffer->data(), numbers.size() * sizeof(double));
    arrived_.push_back(std::move(numbers));
    slot.buffer = nullptr;
  }

  CudaStream compute_;
  Stream copies_;
  std::array<std::unique_ptr<Staging>, kSlots> staged_, read_;
  std::array<Reading, kSlots> reading_;
  size_t next_upload_ = 0, next_report_ = 0;
  std::vector<std::vector<double>> arrived_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace

std::unique_ptr<StepDevice> make_step_device(CudaStream stream) {
  return std::make_unique<CudaSteps>(stream);
}

}  // namespace fathom
