// Every input of a folder once: replay --reader=NAME FOLDER
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "tests/fuzz/reader.h"

int main(int argc, char** argv) {
  const mlsim::fuzz::Reader& reader = mlsim::fuzz::chosen_reader(std::span(argv, static_cast<std::size_t>(argc)));
  const std::filesystem::path folder = argv[argc - 1];
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  }
  if (files.empty()) {
    std::cerr << folder << ": expected a folder of inputs" << std::endl;
    return 2;
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    // The last line of a run that ends here names the input.
    std::cout << file.filename().string() << std::endl;
    mlsim::fuzz::run(reader, mlsim::base::read_text(file));
  }
  return 0;
}
