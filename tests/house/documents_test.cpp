// Documents wrap at 120 columns, but for tables and code, and name files that there are.
#include <glob.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
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

bool exists(const std::string& pattern) {
  glob_t found{};
  const int status = glob(pattern.c_str(), GLOB_BRACE, nullptr, &found);
  globfree(&found);
  return status == 0;
}

// The names of files and folders of the project in a line, between grave accents: not those with a placeholder, as in
// `sim/NAME/`.
std::vector<std::string> named_files(const std::string& line) {
  static const std::regex pattern(
      "`((?:base|models|energy|workloads|sim|evaluation|app|trainer|python|bench|tests|docs|"
      "results|cmake)/[^`[:space:]]*)`");
  static const std::regex placeholder("[A-Z]{4,}");
  std::vector<std::string> names;
  for (std::sregex_iterator match(line.begin(), line.end(), pattern), end; match != end; ++match) {
    std::string name = (*match)[1];
    if (!std::regex_search(name, placeholder)) names.push_back(std::move(name));
  }
  return names;
}

TEST(Documents, NameFilesThatThereAre) {
  const fs::path root = MLSIM_SOURCE_DIR;
  std::vector<std::string> missing;
  std::size_t seen = 0;
  for (const fs::path& path : documents()) {
    if (path.filename() == "CHANGELOG.md") continue;  // which names what there was
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      for (const std::string& name : named_files(line)) {
        ++seen;
        // Tests may be named without their folder, and sources without their ending.
        const bool there = exists((root / name).string()) || exists((root / (name + ".{cpp,h,py}")).string()) ||
                           exists((root / "tests" / (name + "{,.cpp,.py}")).string());
        if (!there) missing.push_back(path.filename().string() + ": " + name);
      }
    }
  }
  EXPECT_GT(seen, 100U);
  EXPECT_THAT(missing, testing::IsEmpty());
}

TEST(Documents, NamesOfFilesStandBetweenAccents) {
  EXPECT_THAT(named_files("In `sim/dataflow.{h,cpp}` and `docs/a.md`, not `sim/NAME/` nor sim/b.h nor `mlsim x`."),
              testing::ElementsAre("sim/dataflow.{h,cpp}", "docs/a.md"));
  EXPECT_TRUE(exists(std::string(MLSIM_SOURCE_DIR) + "/sim/dataflow.{h,cpp}"));
  EXPECT_FALSE(exists(std::string(MLSIM_SOURCE_DIR) + "/sim/no-such-file.*"));
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
