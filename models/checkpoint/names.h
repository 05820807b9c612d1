#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint/archive.h"

namespace fathom {

/// Who named the tensors of a checkpoint. Everything here speaks official names inside.
enum class NameStyle {
  official,     // pretrained.blocks.0.attn.qkv.weight, depth_head.projects.0.weight
  backbone,     // blocks.0.attn.qkv.weight: DINOv2 alone
  hf,           // backbone.encoder.layer.0.attention.attention.query.weight, neck., head.
  hf_backbone,  // encoder.layer.0....: DINOv2 alone
  other         // no DINOv2 encoder found
};
std::string_view name_of(NameStyle style);

/// An official name, and which third of its rows a Hugging Face tensor holds.
struct OfficialName {
  std::string name;
  int part = -1;  // -1: all of it; 0, 1, 2: query, key, value, stacked along axis 0
};

/// The official name of a Hugging Face name (backbone., neck., head.), if it has one.
std::optional<OfficialName> official_name(std::string_view hf);

/// The Hugging Face names of an official name: one, or query, key and value. Empty if none.
std::vector<std::string> hf_names(std::string_view official);

/// The tensors of an archive under official names.
struct NameMap {
  /// One official tensor: one entry, or the three that are stacked along axis 0.
  struct Source {
    std::string name;
    std::vector<const Entry*> parts;  // in row order; nullptr where a third is missing
    bool complete() const;
    /// Parts stacked. Throws Error unless complete, with one dtype and one shape.
    Shape shape() const;
    DType dtype() const { return parts[0]->dtype; }
  };

  NameStyle style = NameStyle::other;
  std::string prefix;    // stripped from every name: "module.", "model.", "teacher.backbone."
  bool chunked = false;  // blocks.{chunk}.{i} became blocks.{i}
  std::vector<Source> sources;       // sorted by name
  std::vector<std::string> extra;    // under the prefix, but no name of a known tensor
  std::vector<std::string> ignored;  // outside the prefix: optimiser state, the student, ...

  const Source* find(std::string_view official) const;
  /// "names: hf, prefix 'model.' stripped, 12 tensors outside it ignored (optimizer: 12)".
  std::string report() const;
};

/// Finds the encoder by its class token, whatever prefix its names carry, and maps every tensor.
/// Of several encoders the one without prefix wins, then teacher, ema, others, student; `prefix`
/// chooses another. Entries point into the archive. Throws Error when two tensors map to one name.
NameMap map_names(const Archive& archive, std::optional<std::string> prefix = std::nullopt);

/// The source as contiguous row-major elements of dtype `to`; see copy_elements.
void copy_source(const NameMap::Source& source, DType to, std::span<std::byte> out);

}  // namespace fathom
