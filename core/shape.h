#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>

namespace fathom {

/// A short list of integers, kept in place.
template <int Capacity>
class IntList {
 public:
  IntList() = default;
  IntList(std::initializer_list<int64_t> values)
      : IntList(std::span<const int64_t>(values.begin(), values.size())) {}
  explicit IntList(std::span<const int64_t> values);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + rank_; }
  int64_t back() const { return values_[rank_ - 1]; }
  void push_back(int64_t value);
  friend bool operator==(const IntList& a, const IntList& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.values_[i] != b.values_[i]) return false;
    return true;
  }

 private:
  std::array<int64_t, Capacity> values_{};
  int rank_ = 0;
};

constexpr int kMaxRank = 6;

/// Extents of a tensor, outermost first. Rank 0 is a scalar. An extent below 1 is refused, so no
/// op has to handle an empty tensor; so are more than 2^59 elements, so that their bytes fit an
/// int64.
class Shape : public IntList<kMaxRank> {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  explicit Shape(std::span<const int64_t> extents);
  void push_back(int64_t extent);
  /// The product of the extents; 1 for a scalar.
  int64_t numel() const;
};

/// Distances between neighbours along each axis, in elements.
using Strides = IntList<kMaxRank>;

/// Strides of a row-major tensor without gaps.
Strides contiguous_strides(const Shape& shape);

std::ostream& operator<<(std::ostream& out, const Shape& shape);

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace fathom
