// Each header has a test of its own name, or says which one is its.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace mlsim {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = MLSIM_SOURCE_DIR;
constexpr const char* kRooms[] = {"base",       "models", "energy",  "workloads", "sim",
                                  "evaluation", "app",    "trainer", "python"};

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Names of the tests in tests/, without folder and ending: `format_test`.
std::set<std::string> names_of_tests() {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    if (entry.path().stem().string().ends_with("_test")) names.insert(entry.path().stem().string());
  }
  return names;
}

// The test that a header's text names in a line of its own, `// Tested in tests/sim/trace_test.cpp.`
std::string named_test(const std::string& text) {
  const std::string begin = "\n// Tested in ";
  const std::size_t at = text.find(begin);
  if (at == std::string::npos) return {};
  const std::size_t end = text.find(".\n", at + 1);
  return text.substr(at + begin.size(), end - at - begin.size());
}

TEST(Headers, HaveATestOfTheirNameOrNameTheirs) {
  const std::set<std::string> tests = names_of_tests();
  std::vector<std::string> without;
  std::size_t headers = 0;
  for (const char* const room : kRooms) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRoot / room)) {
      if (entry.path().extension() != ".h") continue;
      ++headers;
      if (tests.contains(entry.path().stem().string() + "_test")) continue;
      const std::string named = named_test(text_of(entry.path()));
      if (named.empty() || !fs::is_regular_file(kRoot / named)) {
        without.push_back(fs::relative(entry.path(), kRoot).string() + ": " + (named.empty() ? "none" : named));
      }
    }
  }
  EXPECT_GT(headers, 200U);
  EXPECT_THAT(without, testing::IsEmpty());
}

TEST(Headers, NameATestInALineOfItsOwn) {
  EXPECT_EQ(named_test("// What it is.\n// Tested in tests/a/b_test.cpp.\n#pragma once\n"), "tests/a/b_test.cpp");
  EXPECT_EQ(named_test("// What it is, tested in tests/a/b_test.cpp.\n#pragma once\n"), "");
}

}  // namespace
}  // namespace mlsim
