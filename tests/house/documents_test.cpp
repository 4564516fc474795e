// Documents wrap at 120 columns, but for tables and code.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace mlsim {
namespace {

namespace fs = std::filesystem;

constexpr std::ptrdiff_t kColumns = 120;

// Of UTF-8: bytes that begin a character.
std::ptrdiff_t columns_of(const std::string& line) {
  return std::count_if(line.begin(), line.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; });
}

std::vector<std::string> wide_lines(const fs::path& path, std::istream& text) {
  std::vector<std::string> wide;
  bool fenced = false;
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
    if (line.compare(first, 3, "```") == 0) fenced = !fenced;
    const bool is_code = fenced || first >= 4;
    const bool is_table = first < line.size() && line[first] == '|';
    if (!is_code && !is_table && columns_of(line) > kColumns) {
      wide.push_back(path.generic_string() + ":" + std::to_string(number));
    }
  }
  return wide;
}

std::vector<fs::path> documents() {
  const fs::path root = MLSIM_SOURCE_DIR;
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) paths.push_back(entry.path());
  for (const char* folder : {"docs", "results", "workloads", "sim", "tests", "trainer", "third_party"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      paths.push_back(entry.path());
    }
  }
  std::erase_if(paths, [](const fs::path& path) { return path.extension() != ".md"; });
  return paths;
}

TEST(Documents, WrapAt120Columns) {
  const fs::path root = MLSIM_SOURCE_DIR;
  const std::vector<fs::path> paths = documents();
  EXPECT_GT(paths.size(), 20U);
  std::vector<std::string> wide;
  for (const fs::path& path : paths) {
    std::ifstream file(path);
    const std::vector<std::string> of_file = wide_lines(fs::relative(path, root), file);
    wide.insert(wide.end(), of_file.begin(), of_file.end());
  }
  EXPECT_THAT(wide, testing::IsEmpty());
}

TEST(Documents, TablesAndCodeMayBeWider) {
  const std::string words(121, 'x');
  const std::string columns = "\u2192" + std::string(119, 'x');
  std::istringstream text("| " + words + " |\n    " + words + "\n```\n" + words + "\n```\n" + columns + "\n" + words +
                          "\n");
  EXPECT_THAT(wide_lines("a.md", text), testing::ElementsAre("a.md:7"));
}

}  // namespace
}  // namespace mlsim
