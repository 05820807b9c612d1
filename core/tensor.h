#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/shape.h"
#include "core/stream.h"

namespace fathom {

/// Bytes on a device, shared by the tensors that view them.
class Storage {
 public:
  /// element_bytes: the size of what will be stored; where kernels run on the CPU, in tests, it is
  /// the unit in which races are found.
  static std::shared_ptr<Storage> allocate(int64_t bytes, Device device, int64_t element_bytes = 1);
  /// Bytes that belong to somebody else, for example a mapped file; never written to.
  static std::shared_ptr<Storage> borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool read_only() const { return owner_ != nullptr; }

 private:
  Storage() = default;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  Device device_;
  std::shared_ptr<const void> owner_;
};

/// strided: elements at offset + sum(index * stride). packed: weights in the order that the op
/// which packed them wants; only that op reads them, and shape() still is the logical shape.
enum class Layout : uint8_t { strided, packed };

struct TensorOptions {
  DType dtype = DType::f32;
  Device device = kCpu;
};

struct Node;  // core/autograd.h

/// A handle to an n-dimensional array: shared storage, own shape, strides (in elements), offset,
/// dtype. Copies share; views share; clone() copies. Ops never write to their inputs.
class Tensor {
 public:
  Tensor() = default;  // undefined: stands for an absent argument or gradient

  bool defined() const { return state_ != nullptr; }
  const Shape& shape() const { return state_->shape; }
  const Strides& strides() const { return state_->strides; }
  int64_t offset() const { return state_->offset; }
  DType dtype() const { return state_->dtype; }
  Device device() const { return state_->storage->device(); }
  Layout layout() const { return state_->layout; }
  TensorOptions options() const { return {dtype(), device()}; }
  int rank() const { return shape().rank(); }
  /// Extent of an axis; negative axes count from the end.
  int64_t dim(int axis) const { return shape()[axis_index(axis)]; }
  int64_t numel() const { return shape().numel(); }
  int64_t bytes() const { return numel() * size_of(dtype()); }
  bool is_contiguous() const;
  const std::shared_ptr<Storage>& storage() const { return state_->storage; }

  /// First element. T must be the dtype; CPU only; strided layout only.
  template <class T>
  const T* data() const {
    check_access(dtype_of<T>(), Device::Type::cpu, false);
    return reinterpret_cast<const T*>(state_->storage->data()) + state_->offset;
  }
  template <class T>
  T* data() {
    check_access(dtype_of<T>(), Device::Type::cpu, true);
    return reinterpret_cast<T*>(state_->storage->data()) + state_->offset;
  }
  /// The same of a tensor on a CUDA device: an address for kernels, which the CPU must not follow.
  template <class T>
  const T* device_data() const {
    check_access(dtype_of<T>(), Device::Type::cuda, false);
    return reinterpret_cast<const T*>(state_->storage->data()) + state_->offset;
  }
  template <class T>
  T* device_data() {
    check_access(dtype_of<T>(), Device::Type::cuda, true);
    return reinterpret_cast<T*>(state_->storage->data()) + state_->offset;
  }
  /// The one element of a tensor of one element, as a double. Waits for the device.
  double item() const;

  // Differentiable; the first four share storage where they can.
  Tensor view(const Shape& shape) const;
  Tensor narrow(int axis, int64_t begin, int64_t length) const;
  Tensor transpose(int axis_a, int axis_b) const;
  Tensor contiguous() const;
  Tensor clone() const;
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;

  /// Gradients, see core/autograd.h.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool on = true);
  Tensor grad() const { return Tensor(state_->grad); }
  void clear_grad() { state_->grad = nullptr; }
  /// The same values, unknown to the tape.
  Tensor detach() const;

  /// For ops: a tensor over existing storage.
  static Tensor over(std::shared_ptr<Storage> storage, const Shape& shape, const Strides& strides,
                     int64_t offset, DType dtype, Layout layout = Layout::strided);

  int axis_index(int axis) const;

 private:
  friend struct Tape;
  struct State {
    std::shared_ptr<Storage> storage;
    Shape shape;
    Strides strides;
    int64_t offset = 0;
    DType dtype = DType::f32;
    Layout layout = Layout::strided;
    bool requires_grad = false;  // a leaf that collects its gradient
    std::shared_ptr<State> grad;
    std::shared_ptr<Node> node;  // the op that made it, if it is on the tape
  };
  explicit Tensor(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void check_access(DType dtype, Device::Type device, bool write) const;
  std::shared_ptr<State> state_;
};

Tensor empty(const Shape& shape, TensorOptions options = {});
Tensor empty_like(const Tensor& x);
Tensor full(const Shape& shape, double value, TensorOptions options = {});
Tensor zeros(const Shape& shape, TensorOptions options = {});
/// Values in row-major order, converted to the dtype.
Tensor from_values(const Shape& shape, std::span<const double> values, TensorOptions options = {});
Tensor from_values(const Shape& shape, std::initializer_list<double> values,
                   TensorOptions options = {});

/// Joins tensors along an axis. All other extents, dtypes and devices must agree. Differentiable.
Tensor concat(std::span<const Tensor> parts, int axis);

/// Copies values element by element, converting the dtype; shapes must agree. For the loader and
/// the optimiser: it writes to `to`, which must not be on the tape.
void copy_values(const Tensor& from, Tensor& to);

/// The usual check of an op with several inputs: same dtype and device as the first.
template <class... Rest>
requires(std::same_as<Rest, Tensor>&&...) void check_same_type(const char* op, const Tensor& first,
                                                               const Rest&... rest) {
  const auto same = [&](const Tensor& other) {
    if (!other.defined()) return;
    check(other.dtype() == first.dtype() && other.device() == first.device(), op,
          ": inputs must share dtype and device, but are ", first.dtype(), " on ", first.device(),
          " and ", other.dtype(), " on ", other.device(), "; convert with to()");
  };
  (same(rest), ...);
}

}  // namespace fathom
