#pragma once

#include <string>
#include <vector>

#include "models/checkpoint/names.h"
#include "models/checkpoint/safetensors.h"
#include "models/checkpoint/state_dict.h"
#include "tests/models/checkpoint/made_files.h"

namespace fathom::made {

/// Widths of a Depth Anything model; the default is tiny.
struct Model {
  int64_t channels = 64, layers = 2, hidden = 32, patch = 2, positions = 5, registers = 0;
  bool swiglu = false, head = true;
  int64_t features = 8;
  std::vector<int64_t> out = {4, 8, 12, 16};
  int64_t head_hidden = 4;
};

/// Its tensors under official names, written down from spec/models.md section 6.1.
inline std::vector<ExpectedTensor> tensors_of(const Model& m) {
  std::vector<ExpectedTensor> list;
  const auto add = [&](const std::string& name, const Shape& shape) {
    list.push_back({name, shape});
  };
  const auto layer = [&](const std::string& name, const Shape& weight) {
    add(name + ".weight", weight);
    add(name + ".bias", {weight[0]});
  };
  const int64_t D = m.channels, F = m.features;
  add("pretrained.cls_token", {1, 1, D});
  add("pretrained.pos_embed", {1, m.positions, D});
  add("pretrained.mask_token", {1, D});
  if (m.registers > 0) add("pretrained.register_tokens", {1, m.registers, D});
  layer("pretrained.patch_embed.proj", {D, 3, m.patch, m.patch});
  for (int64_t i = 0; i < m.layers; ++i) {
    const std::string block = "pretrained.blocks." + std::to_string(i) + ".";
    layer(block + "norm1", {D});
    layer(block + "attn.qkv", {3 * D, D});
    layer(block + "attn.proj", {D, D});
    add(block + "ls1.gamma", {D});
    layer(block + "norm2", {D});
    layer(block + (m.swiglu ? "mlp.w12" : "mlp.fc1"), {m.swiglu ? 2 * m.hidden : m.hidden, D});
    layer(block + (m.swiglu ? "mlp.w3" : "mlp.fc2"), {D, m.hidden});
    add(block + "ls2.gamma", {D});
  }
  layer("pretrained.norm", {D});
  if (!m.head) return list;
  const std::string scratch = "depth_head.scratch.";
  for (size_t j = 0; j < 4; ++j)
    layer("depth_head.projects." + std::to_string(j), {m.out[j], D, 1, 1});
  layer("depth_head.resize_layers.0", {m.out[0], m.out[0], 4, 4});
  layer("depth_head.resize_layers.1", {m.out[1], m.out[1], 2, 2});
  layer("depth_head.resize_layers.3", {m.out[3], m.out[3], 3, 3});
  for (int n = 1; n <= 4; ++n) {
    add(scratch + "layer" + std::to_string(n) + "_rn.weight", {F, m.out[size_t(n - 1)], 3, 3});
    const std::string refine = scratch + "refinenet" + std::to_string(n) + ".";
    layer(refine + "out_conv", {F, F, 1, 1});
    for (const char* unit : {"1", "2"})
      for (const char* conv : {"1", "2"})
        layer(refine + "resConfUnit" + unit + ".conv" + conv, {F, F, 3, 3});
  }
  layer(scratch + "output_conv1", {F / 2, F, 3, 3});
  layer(scratch + "output_conv2.0", {m.head_hidden, F / 2, 3, 3});
  layer(scratch + "output_conv2.2", {1, m.head_hidden, 1, 1});
  return list;
}

/// An archive in memory with these names and shapes and no data to speak of: one shared buffer.
inline Archive archive_of(const std::vector<ExpectedTensor>& tensors,
                          const std::string& prefix = "") {
  static const std::vector<std::byte> zeros(1 << 20);
  Archive archive("made.pth", "made");
  for (const ExpectedTensor& tensor : tensors)
    archive.entries.push_back(
        {prefix + tensor.name, DType::f32, tensor.shape, contiguous_strides(tensor.shape), zeros});
  archive.seal();
  return archive;
}

/// The same tensors under Hugging Face names, query, key and value apart.
inline std::vector<ExpectedTensor> hf_tensors_of(const std::vector<ExpectedTensor>& official) {
  std::vector<ExpectedTensor> list;
  for (const ExpectedTensor& tensor : official) {
    const std::vector<std::string> names = hf_names(tensor.name);
    Shape shape = tensor.shape;
    if (names.size() == 3) shape[0] /= 3;
    for (const std::string& name : names) list.push_back({name, shape});
  }
  return list;
}

inline const Model kS = {384, 12, 1536, 14, 1370, 0, false, true, 64, {48, 96, 192, 384}, 32};
inline const Model kB = {768, 12, 3072, 14, 1370, 0, false, true, 128, {96, 192, 384, 768}, 32};
inline const Model kL = {1024, 24, 4096, 14, 1370, 0, false, true, 256, {256, 512, 1024, 1024}, 32};
inline const Model kG = {1536, 40, 4096, 14, 1370, 0, true, true, 384, {1536, 1536, 1536, 1536},
                         32};

}  // namespace fathom::made
