#include "core/step_device.h"

#include <utility>

namespace fathom {
namespace {

class CpuSteps : public StepDevice {
 public:
  std::vector<Tensor> upload(std::span<const Tensor> batch) override {
    return {batch.begin(), batch.end()};
  }
  void report(const Tensor& numbers) override {
    const double* const data = numbers.data<double>();
    reports_.emplace_back(data, data + numbers.numel());
  }
  std::vector<std::vector<double>> reports() override { return std::exchange(reports_, {}); }
  bool runs_behind() const override { return false; }
  void capture(const std::function<void()>&) override { fail("the CPU captures no steps"); }
  void replay() override { fail("the CPU captures no steps"); }

 private:
  std::vector<std::vector<double>> reports_;
};

}  // namespace

std::unique_ptr<StepDevice> step_device(Device device) {
  return visit_stream(device, [](auto stream) { return make_step_device(stream); });
}

std::unique_ptr<StepDevice> make_step_device(CpuStream) { return std::make_unique<CpuSteps>(); }

}  // namespace fathom
