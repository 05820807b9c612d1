#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/dtype.h"
#include "core/shape.h"

namespace fathom {

/// An element type that a checkpoint file may name. Types without a dtype are known well enough
/// to find the next tensor, and no further: tensors of them are listed as skipped.
struct ElementType {
  std::string_view name;  // as the file spells it: "F32", "FloatStorage"
  int64_t size_bytes;
  std::optional<DType> dtype;
};

/// The element types of safetensors and of PyTorch storages, or nullptr for an unknown name.
const ElementType* safetensors_type(std::string_view name);
const ElementType* torch_storage_type(std::string_view name);

/// The name of a dtype in a safetensors header.
std::string_view safetensors_name(DType dtype);

/// Why fathom::Shape cannot hold these extents ("has no elements", "has 7 axes, ..."), or nullptr
/// if it can. Extents must not be negative.
const char* shape_problem(std::span<const int64_t> extents);

/// Copies a strided view, element by element, into contiguous row-major `out`.
///
/// bytes:   from the first element of the view; need not be aligned.
/// strides: in elements, not negative; the last element must lie inside `bytes`.
/// out:     exactly shape.numel() elements of `to`.
/// Throws   Error unless `to` equals `from` or is a floating dtype. Halves go through float.
void copy_strided(std::span<const std::byte> bytes, DType from, const Shape& shape,
                  const Strides& strides, DType to, std::span<std::byte> out);

}  // namespace fathom
