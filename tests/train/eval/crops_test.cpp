#include "train/eval/crops.h"

#include "tests/testing.h"

namespace fathom {

TEST_CASE("crops: boxes at the sizes the papers use") {
  // int() of the products by Python, for KITTI's 375 x 1242 and its crop of 352 x 1216.
  CHECK(crop_box(EvalCrop::garg, {375, 1242}) == CropBox{153, 44, 371, 1197});
  CHECK(crop_box(EvalCrop::garg, {352, 1216}) == CropBox{143, 43, 349, 1172});
  CHECK(crop_box(EvalCrop::eigen_kitti, {375, 1242}) == CropBox{124, 44, 342, 1197});
  CHECK(crop_box(EvalCrop::eigen_nyu, {480, 640}) == CropBox{45, 41, 471, 601});
  CHECK(crop_box(EvalCrop::none, {3, 5}) == CropBox{0, 0, 3, 5});
  CHECK(kb_crop_box({375, 1242}) == CropBox{23, 13, 375, 1229});
  CHECK(kb_crop_box({352, 1217}) == CropBox{0, 0, 352, 1216});
}

TEST_CASE("crops: stay inside small images and say when nothing is left") {
  CHECK(crop_box(EvalCrop::eigen_nyu, {60, 100}) == CropBox{45, 41, 60, 100});
  CHECK(crop_box(EvalCrop::garg, {2, 2}) == CropBox{0, 0, 1, 1});
  CHECK_THROWS_WITH(crop_box(EvalCrop::eigen_nyu, {45, 640}),
                    Catch::Contains("eigen_nyu") && Catch::Contains("640 wide and 45 high"));
  CHECK_THROWS_WITH(crop_box(EvalCrop::garg, {1, 1}), Catch::Contains("leaves nothing"));
  CHECK_THROWS_WITH(kb_crop_box({351, 1242}), Catch::Contains("at least 1216 x 352"));
}

TEST_CASE("crops: names go both ways, others are refused") {
  for (const char* name : {"none", "garg", "eigen_kitti", "eigen_nyu"})
    CHECK(name_of(crop_of(name)) == name);
  CHECK_THROWS_WITH(crop_of("eigen"), Catch::Contains("'eigen'"));
}

TEST_CASE("crops: the pixels of a box are those of its rows and columns") {
  FloatMap map{4, 5, {}};
  Image8 photo{.height = 4, .width = 5};
  for (int i = 0; i < 20; ++i) {
    map.values.push_back(float(i));
    for (int c = 0; c < 3; ++c) photo.pixels.push_back(uint8_t(10 * i + c));
  }
  const CropBox box{.top = 1, .left = 3, .bottom = 3, .right = 5};
  const FloatMap part = cropped(map, box);
  CHECK(part.height == 2);
  CHECK(part.width == 2);
  CHECK(part.values == std::vector<float>{8, 9, 13, 14});
  const Image8 picture = cropped(photo, box);
  CHECK(picture.height == 2);
  CHECK(picture.width == 2);
  CHECK(picture.pixels ==
        std::vector<uint8_t>{80, 81, 82, 90, 91, 92, 130, 131, 132, 140, 141, 142});
}

}  // namespace fathom
