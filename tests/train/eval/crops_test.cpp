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

}  // namespace fathom
