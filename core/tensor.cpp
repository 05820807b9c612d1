#include "core/tensor.h"

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/elements.h"
#include "core/parallel.h"
#include "core/strided_copy.h"

namespace fathom {

std::shared_ptr<Storage> Storage::allocate(int64_t bytes, Device device, int64_t element_bytes) {
  std::shared_ptr<Storage> storage(new Storage);
  storage->data_ = visit_host(
      device, [&](auto stream) { return allocator::allocate(stream, bytes, element_bytes); });
  storage->bytes_ = bytes;
  storage->device_ = device;
  return storage;
}

std::shared_ptr<Storage> Storage::borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner) {
  std::shared_ptr<Storage> storage(new Storage);
  storage->data_ = const_cast<std::byte*>(bytes.data());
  storage->bytes_ = int64_t(bytes.size());
  storage->owner_ = owner ? std::move(owner) : std::make_shared<int>();
  return storage;
}

static void release(Device device, std::byte* data) {
  visit_host(device, [&](auto stream) { allocator::release(stream, data); });
}

Storage::~Storage() {
  if (data_ && !owner_) release(device_, data_);
}

Tensor Tensor::over(std::shared_ptr<Storage> storage, const Shape& shape, const Strides& strides,
                    int64_t offset, DType dtype, Layout layout) {
  Tensor t;
  t.state_ = std::make_shared<State>();
  t.state_->storage = std::move(storage);
  t.state_->shape = shape;
  t.state_->strides = strides;
  t.state_->offset = offset;
  t.state_->dtype = dtype;
  t.state_->layout = layout;
  return t;
}

int Tensor::axis_index(int axis) const {
  const int index = axis < 0 ? axis + rank() : axis;
  check(index >= 0 && index < rank(), "axis ", axis, " of a tensor of shape ", shape());
  return index;
}

bool Tensor::is_contiguous() const {
  if (layout() != Layout::strided) return false;
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape()[i] != 1 && strides()[i] != step) return false;
    step *= shape()[i];
  }
  return true;
}

void Tensor::check_access(DType dtype, Device::Type type, bool write) const {
  check(defined(), "data(): the tensor is undefined");
  check(dtype == state_->dtype, "data(): the tensor holds ", state_->dtype, ", not ", dtype);
  check(state_->layout == Layout::strided, "data(): the tensor is packed for another op");
  check(device().type == type, "data(): the tensor lives on ", device(), "; move it with to(",
        type == Device::Type::cpu ? "kCpu" : "a CUDA device", ")");
  check(!write || !state_->storage->read_only(),
        "data(): the tensor is a mapped file and cannot be written; clone() it");
}

double Tensor::item() const {
  check(numel() == 1, "item(): expected one element, got shape ", shape());
  const Tensor here = detach().to(kCpu);
  return visit_any(dtype(), [&]<class T>(Tag<T>) { return cast<double>(*here.data<T>()); });
}

// ---- making tensors

Tensor empty(const Shape& shape, TensorOptions options) {
  const int64_t bytes = shape.numel() * size_of(options.dtype);
  return Tensor::over(Storage::allocate(bytes, options.device, size_of(options.dtype)), shape,
                      contiguous_strides(shape), 0, options.dtype);
}

Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.options()); }

Tensor full(const Shape& shape, double value, TensorOptions options) {
  Tensor x = empty(shape, options);
  visit_stream(options.device, [&](auto stream) { kernels::fill(stream, value, x); });
  return x;
}

Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }

Tensor from_values(const Shape& shape, std::span<const double> values, TensorOptions options) {
  check(int64_t(values.size()) == shape.numel(), "from_values: ", values.size(),
        " values for shape ", shape);
  Tensor x = empty(shape, {options.dtype});
  visit_any(options.dtype, [&]<class T>(Tag<T>) {
    T* data = x.data<T>();
    for (size_t i = 0; i < values.size(); ++i) data[i] = cast<T>(values[i]);
  });
  return x.to(options.device);
}

Tensor from_values(const Shape& shape, std::initializer_list<double> values,
                   TensorOptions options) {
  return from_values(shape, std::span(values.begin(), values.size()), options);
}

void copy_values(const Tensor& from, Tensor& to) {
  check(from.shape() == to.shape(), "copy_values: shapes differ: ", from.shape(), " and ",
        to.shape());
  check(!needs_grad(to) || !grad_enabled(),
        "copy_values: writes to a tensor on the tape; use NoGrad");
  strided_copy(from.detach().to(to.device()), to);
}

// ---- views and copies, each with its adjoint

Tensor Tensor::view(const Shape& shape) const {
  check(shape.numel() == numel(), "view: ", this->shape(), " has ", numel(), " elements, ", shape,
        " has ", shape.numel());
  const Tensor x = contiguous();
  Tensor y = over(x.storage(), shape, contiguous_strides(shape), x.offset(), x.dtype());
  return record(y, {x}, [from = x.shape()](const Tensor& dy) -> Grads { return {dy.view(from)}; });
}

Tensor Tensor::narrow(int axis, int64_t begin, int64_t length) const {
  check(layout() == Layout::strided, "narrow: the tensor is packed; unpack it first");
  axis = axis_index(axis);
  check(begin >= 0 && length >= 1 && length <= dim(axis) && begin <= dim(axis) - length,
        "narrow: ", length, " elements from ", begin, " on are not inside axis ", axis, " of ",
        shape());
  Shape shape = this->shape();
  shape[axis] = length;
  Tensor y = over(storage(), shape, strides(), offset() + begin * strides()[axis], dtype());
  return record(y, {*this}, [from = this->shape(), axis, begin, length](const Tensor& dy) -> Grads {
    Tensor dx = zeros(from, dy.options());
    Tensor part = dx.narrow(axis, begin, length);
    strided_copy(dy, part);
    return {dx};
  });
}

Tensor Tensor::transpose(int axis_a, int axis_b) const {
  check(layout() == Layout::strided, "transpose: the tensor is packed; unpack it first");
  const int a = axis_index(axis_a), b = axis_index(axis_b);
  Shape shape = this->shape();
  Strides strides = this->strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  Tensor y = over(storage(), shape, strides, offset(), dtype());
  return record(y, {*this}, [a, b](const Tensor& dy) -> Grads { return {dy.transpose(a, b)}; });
}

Tensor Tensor::contiguous() const {
  check(layout() == Layout::strided, "contiguous: the tensor is packed; unpack it first");
  if (is_contiguous()) return *this;
  return clone();
}

Tensor Tensor::clone() const {
  Tensor y = empty_like(*this);
  strided_copy(*this, y);
  return record(y, {*this}, [](const Tensor& dy) -> Grads { return {dy}; });
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == this->dtype()) return *this;
  Tensor y = empty(shape(), {dtype, device()});
  strided_copy(*this, y);
  if (!is_float(dtype) || !is_float(this->dtype())) return y;
  return record(y, {*this},
                [from = this->dtype()](const Tensor& dy) -> Grads { return {dy.to(from)}; });
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  const Tensor x = contiguous();
  Tensor y = empty(shape(), {dtype(), device});
  const Device far = device.type == Device::Type::cpu ? this->device() : device;
  visit_stream(far, [&](auto stream) {
    if constexpr (std::same_as<decltype(stream), CudaStream>) kernels::transfer(stream, x, y);
  });
  return record(y, {*this},
                [from = this->device()](const Tensor& dy) -> Grads { return {dy.to(from)}; });
}

Tensor concat(std::span<const Tensor> parts, int axis) {
  check(!parts.empty(), "concat: nothing to join");
  axis = parts[0].axis_index(axis);
  Shape shape = parts[0].shape();
  int64_t total = 0;
  for (const Tensor& part : parts) {
    check_same_type("concat", parts[0], part);
    Shape expected = parts[0].shape();
    if (part.rank() == expected.rank()) expected[axis] = part.dim(axis);
    check(part.shape() == expected, "concat: ", part.shape(), " does not fit ", parts[0].shape(),
          " along axis ", axis);
    total += part.dim(axis);
  }
  shape[axis] = total;
  Tensor y = empty(shape, parts[0].options());
  int64_t begin = 0;
  std::vector<int64_t> lengths;
  for (const Tensor& part : parts) {
    Tensor slot = y.narrow(axis, begin, part.dim(axis));
    strided_copy(part, slot);
    begin += part.dim(axis);
    lengths.push_back(part.dim(axis));
  }
  return record(y, {parts.begin(), parts.end()}, [axis, lengths](const Tensor& dy) -> Grads {
    Grads grads;
    int64_t begin = 0;
    for (const int64_t length : lengths) {
      grads.push_back(dy.narrow(axis, begin, length));
      begin += length;
    }
    return grads;
  });
}

// ---- CPU

void kernels::fill(CpuStream, double value, Tensor& x) {
  visit_any(x.dtype(), [&]<class T>(Tag<T>) {
    T* data = x.data<T>();
    const T v = cast<T>(value);
    parallel_for(x.numel(), 1 << 16, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) data[i] = v;
    });
  });
}

}  // namespace fathom
