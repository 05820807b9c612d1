#include "core/cuda/step_scalars.h"

#include <cstring>
#include <utility>

namespace fathom::cuda {

template <size_t... I>
static std::array<Event, sizeof...(I)> events(int device, std::index_sequence<I...>) {
  return {((void)I, Event(device))...};
}

StepScalars::StepScalars(int device)
    : memory_(empty({int64_t(sizeof(StepValues))}, {DType::u8, {Device::Type::cuda, device}})),
      rates_(int64_t(kAhead * sizeof(float))),
      values_(int64_t(sizeof(StepValues))),
      copied_(events(device, std::make_index_sequence<kAhead>())) {
  write(current_stream(device), {});
}

void StepScalars::set_learning_rate(CudaStream stream, float rate) {
  const size_t slot = next_++ % kAhead;
  if (used_[slot]) copied_[slot].synchronize();
  std::byte* const staged = rates_.data() + slot * sizeof rate;
  std::memcpy(staged, &rate, sizeof rate);
  std::byte* const to =
      reinterpret_cast<std::byte*>(values()) + offsetof(StepValues, learning_rate);
  driver::copy_in(stream.handle, to, staged, sizeof rate);
  copied_[slot].record(stream);
  used_[slot] = true;
}

void StepScalars::advance(CudaStream stream) { advance_step(stream.handle, values()); }

void StepScalars::write(CudaStream stream, const StepValues& values) {
  std::memcpy(values_.data(), &values, sizeof values);
  driver::copy_in(stream.handle, this->values(), values_.data(), sizeof values);
  driver::synchronize(stream.handle);  // the buffer is read() into next
}

StepValues StepScalars::read(CudaStream stream) {
  driver::copy_out(stream.handle, values_.data(), values(), sizeof(StepValues));
  driver::synchronize(stream.handle);
  StepValues values;
  std::memcpy(&values, values_.data(), sizeof values);
  return values;
}

}  // namespace fathom::cuda
