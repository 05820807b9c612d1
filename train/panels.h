#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/float_map.h"
#include "core/image.h"

namespace fathom {

/// One image beside what the model makes of it: photo, prediction, truth and their relative
/// difference, near pixels bright. prediction and truth are disparities of one scale, of one size;
/// what is not finite or not above 0 in the truth is unknown.
struct Panel {
  std::string title;  // "street.jpg: delta1 0.97, AbsRel 0.06"
  Image8 photo;
  FloatMap prediction, truth;
};

/// Writes FOLDER/00-photo.png, 00-prediction.png, 00-truth.png, 00-error.png and panels.json with
/// the titles, in place of what was there.
void write_panels(const std::filesystem::path& folder, const std::vector<Panel>& panels);

/// The titles in panels.json, by number; empty when there is none.
std::vector<std::string> panel_titles(const std::filesystem::path& folder);

inline constexpr const char* kPanelPictures[] = {"photo", "prediction", "truth", "error"};
std::filesystem::path panel_path(const std::filesystem::path& folder, size_t number,
                                 const std::string& picture);

}  // namespace fathom
