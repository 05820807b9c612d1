#include "train/eval/crops.h"

#include <algorithm>

#include "core/error.h"

namespace fathom {

static constexpr std::pair<const char*, EvalCrop> kNames[] = {
    {"none", EvalCrop::none},
    {"garg", EvalCrop::garg},
    {"eigen_kitti", EvalCrop::eigen_kitti},
    {"eigen_nyu", EvalCrop::eigen_nyu},
};

EvalCrop crop_of(const std::string& name) {
  for (const auto& [known, crop] : kNames)
    if (name == known) return crop;
  fail("crop '", name, "' is not known: expected none, garg, eigen_kitti or eigen_nyu");
}

std::string name_of(EvalCrop crop) {
  for (const auto& [name, known] : kNames)
    if (crop == known) return name;
  fail("unknown crop ", int(crop));
}

// Borders are truncated towards zero, as int() does in the reference.
static CropBox relative_box(ImageSize size, double top, double bottom) {
  const double h = double(size.height), w = double(size.width);
  return {int64_t(top * h), int64_t(0.0359477 * w), int64_t(bottom * h), int64_t(0.96405229 * w)};
}

static CropBox uncut_box(EvalCrop crop, ImageSize size) {
  switch (crop) {
    case EvalCrop::none: return {0, 0, size.height, size.width};
    case EvalCrop::garg: {
      CropBox box = relative_box(size, 0.40810811, 0.99189189);
      box.left = int64_t(0.03594771 * double(size.width));
      return box;
    }
    case EvalCrop::eigen_kitti: return relative_box(size, 0.3324324, 0.91351351);
    case EvalCrop::eigen_nyu: return {45, 41, 471, 601};
  }
  fail("unknown crop ", int(crop));
}

CropBox crop_box(EvalCrop crop, ImageSize size) {
  CropBox box = uncut_box(crop, size);
  box.bottom = std::min(box.bottom, size.height);
  box.right = std::min(box.right, size.width);
  check(box.height() > 0 && box.width() > 0, "crop ", name_of(crop), " leaves nothing of an image ",
        size.width, " wide and ", size.height, " high; choose another crop");
  return box;
}

CropBox kb_crop_box(ImageSize size) {
  constexpr int64_t kHeight = 352, kWidth = 1216;
  check(size.height >= kHeight && size.width >= kWidth,
        "the KB crop needs an image of at least 1216 x 352, but this one is ", size.width, " x ",
        size.height);
  const int64_t top = size.height - kHeight, left = (size.width - kWidth) / 2;
  return {top, left, top + kHeight, left + kWidth};
}

// The rows of a box; `channels` values a pixel.
template <class Values>
static void copy_box(const Values& from, int64_t width, int64_t channels, const CropBox& box,
                     auto& to) {
  for (int64_t y = box.top; y < box.bottom; ++y) {
    const auto row = from.begin() + y * width * channels;
    to.insert(to.end(), row + box.left * channels, row + box.right * channels);
  }
}

FloatMap cropped(const MapView& map, const CropBox& box) {
  FloatMap part{box.height(), box.width(), {}};
  copy_box(map.values, map.width, 1, box, part.values);
  return part;
}

Image8 cropped(const Image8& photo, const CropBox& box) {
  Image8 part{.height = int(box.height()), .width = int(box.width()), .channels = photo.channels};
  copy_box(photo.pixels, photo.width, photo.channels, box, part.pixels);
  return part;
}

}  // namespace fathom
