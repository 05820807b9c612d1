#include "train/infer/inputs.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/testing.h"

namespace fathom {

namespace fs = std::filesystem;

// A folder of empty files that goes away with the test.
struct Tree {
  fs::path root = fs::temp_directory_path() / ("fathom-inputs-" + std::to_string(::getpid()));
  explicit Tree(std::initializer_list<const char*> files) {
    fs::remove_all(root);
    for (const char* file : files) {
      fs::create_directories((root / file).parent_path());
      std::ofstream(root / file).put('x');
    }
  }
  ~Tree() { fs::remove_all(root); }
  std::string at(const char* name) const { return (root / name).string(); }
};

static std::vector<std::string> stems(std::vector<std::string> arguments, std::string list = "") {
  std::istringstream stream(list);
  std::vector<std::string> result;
  for (const InferInput& input : collect_inputs(arguments, stream))
    result.push_back(input.stem.string());
  return result;
}

using Strings = std::vector<std::string>;

TEST_CASE("infer inputs: folders are walked and keep their structure") {
  const Tree tree{"b/two.PNG", "a/one.jpg", "a/notes.txt", "top.jpeg"};
  CHECK(stems({tree.root.string()}) == Strings{"a/one", "b/two", "top"});
}

TEST_CASE("infer inputs: patterns, lists and single files") {
  const Tree tree{"x1.jpg", "x2.jpg", "y.png"};
  CHECK(stems({tree.at("x*.jpg")}) == Strings{"x1", "x2"});
  CHECK(stems({"-"}, tree.at("y.png") + "\r\n\n" + tree.at("x1.jpg")) == Strings{"y", "x1"});
  CHECK(stems({tree.at("absent.jpg")}) == Strings{"absent"});
  CHECK(stems({"../../etc/photo.jpg"}) == Strings{"photo"});
}

TEST_CASE("infer inputs: no two outputs share a name") {
  const Tree tree{"a/p.jpg", "b/p.jpg", "b/p.png"};
  CHECK(stems({tree.at("a/p.jpg"), tree.at("b/p.jpg"), tree.at("b/p.png")}) ==
        Strings{"p_jpg", "p_jpg_2", "p_png"});
  CHECK(stems({tree.at("a/p.jpg"), tree.at("a/p.jpg")}) == Strings{"p_jpg", "p_jpg_2"});
}

TEST_CASE("infer inputs: says what is wrong") {
  const Tree tree{"empty/readme.txt"};
  CHECK_THROWS_WITH(stems({tree.at("empty")}), Catch::Contains("no image in this folder"));
  CHECK_THROWS_WITH(stems({tree.at("*.webp")}), Catch::Contains("nothing matches"));
  CHECK_THROWS_WITH(stems({"-"}, ""), Catch::Contains("no input"));
}

}  // namespace fathom
