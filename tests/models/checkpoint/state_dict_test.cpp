#include "models/checkpoint/state_dict.h"

#include "tests/models/checkpoint/made_model.h"

namespace fathom {

TEST_CASE("state_dict: missing, extra and mis-shaped tensors are listed in one error") {
  std::vector<ExpectedTensor> held = made::tensors_of({});
  held[0].shape = {1, 1, 128};                      // cls_token
  held.erase(held.begin() + 1);                     // pos_embed
  held.push_back({"pretrained.head.weight", {2}});  // not of the model
  const Archive archive = made::archive_of(held);
  const NameMap names = map_names(archive);
  const StateDictMatch match = match_state_dict(made::tensors_of({}), names, archive);
  CHECK_FALSE(match.exact());
  CHECK(match.sources[0] == nullptr);
  CHECK(match.sources[2] == names.find("pretrained.mask_token"));
  CHECK_THROWS_WITH(check_exact(match, archive),
                    Catch::Contains("1 missing: pretrained.pos_embed") &&
                        Catch::Contains("1 extra: pretrained.head.weight") &&
                        Catch::Contains("expected [1, 1, 64], found [1, 1, 128]"));
}

TEST_CASE("state_dict: long lists are cut with their count") {
  const Archive archive = made::archive_of({{"pretrained.cls_token", {1, 1, 64}}});
  const StateDictMatch match = match_state_dict(made::tensors_of({}), map_names(archive), archive);
  CHECK_THAT(match.report(), Catch::Contains("98 missing") && Catch::Contains("and 90 more"));
  CHECK(match.report().size() < 600);
}

TEST_CASE("state_dict: a third of qkv that is missing or skipped is named") {
  std::vector<ExpectedTensor> held = made::hf_tensors_of(made::tensors_of({}));
  std::erase_if(held, [](const ExpectedTensor& tensor) {
    return tensor.name == "backbone.encoder.layer.1.attention.attention.key.weight" ||
           tensor.name == "backbone.layernorm.bias";
  });
  Archive archive = made::archive_of(held);
  archive.skipped.push_back({"backbone.layernorm.bias", "element type I16 is not supported"});
  const StateDictMatch match = match_state_dict(made::tensors_of({}), map_names(archive), archive);
  CHECK_THAT(match.report(),
             Catch::Contains("backbone.encoder.layer.1.attention.attention.key.weight") &&
                 Catch::Contains("pretrained.norm.bias (in the file, but element type I16"));
}

}  // namespace fathom
