#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/profile_tables.h"
#include "bench/report.h"
#include "core/image.h"

namespace fathom::bench {

struct ProfileOptions {
  ModelSize size = ModelSize::S;
  ImageSize image{518, 518};  // the network's input
  int64_t batch = 1;
  DType dtype = DType::f32;
  Device device = kCpu;
  bool training = false;
  std::filesystem::path weights = {};  // empty: filled by a hash of the tensors' names
  int64_t steps = 10;
};

struct Profile {
  ProfileOptions options;
  std::string letter;  // of the model: that of the weights
  std::string weights_hash;
  std::vector<double> recorded_s, plain_s;  // steps while recording and, in between, without
  ProfileTables tables;
  profile::Recording recording;
  Ceilings ceilings;  // zero on a GPU

  std::string size() const;  // "S/518x518/b1"
  /// How much longer a step takes while it is recorded: the median of the ratios of neighbours,
  /// - 1.
  double overhead() const;
};

/// Runs steps of inference (network alone, on one random image) or training (SSI loss with gradient
/// matching, AdamW; on one random batch) one after another, every second one recorded, after two of
/// each to warm up.
Profile run_profile(const ProfileOptions& options);

/// The schema of docs/profile.md.
inline constexpr const char* kProfileSchema = "fathom-profile/1";

/// `head` has the machine, the time and the command.
std::string json_of(const Profile& profile, const Report& head);
/// Tables for a terminal: by op and by layer, of which every block has a line on request.
std::string text_of(const Profile& profile, bool every_layer);

}  // namespace fathom::bench
