#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "models/checkpoint/archive.h"

namespace fathom {

/// Reads the header of a safetensors file and checks it whole: lengths, types, that the tensors
/// cover the buffer exactly and without overlap, that no name is given twice.
/// Memory is at most 24 times the header. Source: huggingface/safetensors, README.md.
Archive parse_safetensors(std::span<const std::byte> bytes, const std::string& path);

/// Whether these bytes start like a safetensors file.
bool is_safetensors(std::span<const std::byte> bytes);

/// Reads model.safetensors.index.json and the shards beside it as one archive.
Archive open_sharded_safetensors(const std::filesystem::path& index);

/// A tensor to write: its bytes come from `produce`, which passes them to its argument, in order
/// and in as many pieces as it likes, when it is the tensor's turn.
struct OutputTensor {
  using Sink = std::function<void(std::span<const std::byte>)>;
  std::string name;
  DType dtype;
  Shape shape;
  std::function<void(const Sink&)> produce;
};

/// An OutputTensor over bytes that live until it is written.
OutputTensor output_tensor(std::string name, DType dtype, const Shape& shape,
                           std::span<const std::byte> bytes);

/// Writes a safetensors file whole or not at all. Larger element types come first and the buffer
/// starts at a multiple of 64 bytes, so every tensor is aligned to its elements.
/// Throws Error for a name given twice, for a tensor that produces the wrong number of bytes, and
/// when the file cannot be written.
void write_safetensors(const std::filesystem::path& path, std::span<const OutputTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace fathom
