#include "models/save.h"

#include <sstream>

#include "core/autograd.h"
#include "core/version.h"
#include "models/checkpoint/safetensors.h"

namespace fathom {

static std::string number(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::map<std::string, std::string> model_metadata(const DepthAnything& model, int version) {
  const DepthAnythingConfig& config = model.config;
  std::map<std::string, std::string> metadata;
  metadata["format"] = "pt";  // what the field's readers expect
  metadata["fathom.writer"] = "fathom " + fathom::version();
  metadata["fathom.version"] = version == 1 ? "v1" : "v2";
  const bool metric = config.kind == DepthKind::metric;
  metadata["fathom.kind"] = metric ? "metric" : "relative";
  if (metric) metadata["fathom.max_depth"] = number(config.max_depth_m);
  std::string taps;
  for (const int tap : config.taps) taps += (taps.empty() ? "" : ",") + std::to_string(tap);
  metadata["fathom.taps"] = taps;
  return metadata;
}

// Rows [part / parts, (part + 1) / parts) of a parameter in the published order, when its turn
// comes: one tensor is copied at a time.
static OutputTensor output_of(const std::string& name, const Tensor& parameter, AxisOrder order,
                              DType dtype, int64_t part, int64_t parts) {
  const Tensor published = published_view(parameter.detach(), order);
  const int64_t rows = published.dim(0) / parts;
  const Tensor slice = published.narrow(0, part * rows, rows);
  return {
      name, dtype, slice.shape(), [slice, dtype](const OutputTensor::Sink& sink) {
        const Tensor bytes = slice.contiguous().to(dtype).to(kCpu);
        sink({bytes.storage()->data() + bytes.offset() * size_of(dtype), size_t(bytes.bytes())});
      }};
}

void save_model(const std::filesystem::path& path, const DepthAnything& model, int version,
                const SaveOptions& options) {
  const NoGrad no_grad;
  check(options.names == NameStyle::official || options.names == NameStyle::hf,
        "save_model: names must be official or hf");
  check(options.dtype == DType::f32 || options.dtype == DType::f16 || options.dtype == DType::bf16,
        "save_model: dtype must be f32, f16 or bf16, not ", options.dtype);
  std::vector<OutputTensor> tensors;
  for_each_parameter(model, [&](const std::string& name, const Tensor& t, AxisOrder order) {
    const std::vector<std::string> names =
        options.names == NameStyle::hf ? hf_names(name) : std::vector{name};
    check(!names.empty(), "save_model: ", name, " has no name in Hugging Face's scheme");
    const int64_t parts = int64_t(names.size());
    for (int64_t part = 0; part < parts; ++part)
      tensors.push_back(output_of(names[size_t(part)], t, order, options.dtype, part, parts));
  });
  std::map<std::string, std::string> metadata = model_metadata(model, version);
  metadata.insert(options.metadata.begin(), options.metadata.end());
  write_safetensors(path, tensors, metadata);
}

}  // namespace fathom
