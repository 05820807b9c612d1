#include "core/shape.h"

#include "core/error.h"

namespace fathom {

template <int Capacity>
IntList<Capacity>::IntList(std::span<const int64_t> values) {
  for (const int64_t value : values) push_back(value);
}

template <int Capacity>
void IntList<Capacity>::push_back(int64_t value) {
  check(rank_ < Capacity, "a tensor has at most ", Capacity, " axes");
  values_[rank_++] = value;
}

template class IntList<kMaxRank>;

static void check_extents(std::span<const int64_t> extents) {
  int64_t numel = 1;
  for (const int64_t extent : extents) {
    check(extent >= 1, "shape: every extent must be at least 1, got ", extent);
    check(!__builtin_mul_overflow(numel, extent, &numel) && numel <= (int64_t(1) << 59),
          "shape: more than 2^59 elements");
  }
}

Shape::Shape(std::initializer_list<int64_t> extents) : IntList(extents) {
  check_extents({begin(), end()});
}

Shape::Shape(std::span<const int64_t> extents) : IntList(extents) {
  check_extents({begin(), end()});
}

void Shape::push_back(int64_t extent) {
  IntList::push_back(extent);
  check_extents({begin(), end()});
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (const int64_t extent : *this) product *= extent;
  return product;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides(std::span<const int64_t>(shape.begin(), shape.end()));
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

}  // namespace fathom
