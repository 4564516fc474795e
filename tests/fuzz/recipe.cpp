#include <string>
#include <vector>

#include "tests/fuzz/reader.h"
#include "trainer/options.h"

namespace mlsim::fuzz {
namespace {

trainer::Options read(const std::string& recipe, const std::string& saved) {
  const std::vector<const char*> arguments{"mlsim-train", "--recipe",      recipe.c_str(), "--data",
                                           "folder",      "--save-recipe", saved.c_str()};
  return trainer::parse_options(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace

// A recipe that is saved makes the same run.
void read_recipe(std::string_view bytes) {
  const std::string saved = (scratch_folder() / "saved.json").string();
  const std::string text = read(file_of("recipe.json", bytes).string(), saved).recipe_text;
  require(read(file_of("again.json", text).string(), saved).recipe_text == text, "a recipe that is saved is another");
}

}  // namespace mlsim::fuzz
