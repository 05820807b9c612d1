#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "models/checkpoint/names.h"
#include "models/depth_anything.h"

namespace fathom {

struct SaveOptions {
  NameStyle names = NameStyle::official;             // or hf
  DType dtype = DType::f32;                          // of floating tensors: f32, f16 or bf16
  std::map<std::string, std::string> metadata = {};  // beside what the model itself needs
};

/// What the tensors of a model cannot say, as load_model reads it from the metadata of a
/// safetensors file: fathom.version, fathom.kind, fathom.max_depth, fathom.taps. version: 1 or 2.
std::map<std::string, std::string> model_metadata(const DepthAnything& model, int version);

/// Writes a .safetensors file, whole or not at all, in published names and orders of axes. Its
/// metadata says what tensors cannot, see model_metadata. Absent (undefined) parameters are left
/// out. version: 1 or 2.
void save_model(const std::filesystem::path& path, const DepthAnything& model, int version,
                const SaveOptions& options = {});

}  // namespace fathom
