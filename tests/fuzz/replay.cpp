// Every input of a folder once: replay --reader=NAME FOLDER
#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "tests/fuzz/reader.h"

namespace {

void replay(const mlsim::fuzz::Reader& reader, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    // The last line of a run that ends here names the input.
    std::cout << file.filename().string() << std::endl;
    mlsim::fuzz::run(reader, mlsim::base::read_text(file));
  }
  mlsim::fuzz::require(!files.empty(), "a folder without inputs");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    replay(mlsim::fuzz::chosen_reader(arguments), arguments.back());
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 2;
  }
  return 0;
}
