#include "cli/model_flags.h"

namespace fathom::cli {

ModelFlags ModelArguments::flags() const {
  ModelFlags flags;
  if (!version.empty()) flags.version = version == "v1" ? ModelVersion::v1 : ModelVersion::v2;
  if (!kind.empty()) flags.kind = kind == "metric" ? DepthKind::metric : DepthKind::relative;
  if (max_depth_m > 0) flags.max_depth_m = max_depth_m;
  return flags;
}

void add_model_flags(CLI::App& command, ModelArguments& arguments) {
  command
      .add_option("--model-version", arguments.version,
                  "v1 or v2, when neither metadata nor file name tell (their tensors look alike)")
      ->check(CLI::IsMember({"v1", "v2"}));
  command.add_option("--kind", arguments.kind, "relative or metric, likewise")
      ->check(CLI::IsMember({"relative", "metric"}));
  command
      .add_option("--max-depth", arguments.max_depth_m,
                  "Largest depth of a metric model in metres: 20 indoor, 80 outdoor")
      ->check(CLI::PositiveNumber);
}

DType dtype_argument(const std::string& name) {
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  if (name == "f16") return DType::f16;
  fail("--dtype ", name, ": expected f32, bf16 or f16");
}

}  // namespace fathom::cli
