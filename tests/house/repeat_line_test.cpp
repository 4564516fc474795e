// The main of test programs, tests/support/main.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

namespace mlsim {
namespace {

using testing::HasSubstr;

// Run by Repeats alone.
TEST(RepeatLine, DISABLED_Fails) {
  EXPECT_EQ(1 + 1, 3);
}

// What a line of the shell prints, and its exit status.
std::pair<std::string, int> output_of(const std::string& line) {
  std::string text;
  FILE* const pipe = popen((line + " 2>&1").c_str(), "r");  // NOLINT(cert-env33-c): as a user repeats it
  if (pipe == nullptr) return {text, -1};
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), count);
  const int status = pclose(pipe);
  return {text, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(RepeatLine, RepeatsAFailingTestAlone) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto [first, status] =
      output_of("MLSIM_ONE_OF=4 '" + program + "' --gtest_also_run_disabled_tests --gtest_filter='*.DISABLED_Fails'");
  EXPECT_EQ(status, 1) << first;
  const std::string begin = "Repeat it: ";
  const std::size_t at = first.find(begin);
  ASSERT_NE(at, std::string::npos) << first;
  const std::string line = first.substr(at + begin.size(), first.find('\n', at) - at - begin.size());
  EXPECT_EQ(line, "MLSIM_ONE_OF='4' '" + program +
                      "' --gtest_filter='RepeatLine.DISABLED_Fails' --gtest_also_run_disabled_tests");

  const auto [again, status_again] = output_of(line);
  EXPECT_EQ(status_again, 1) << again;
  EXPECT_THAT(again, HasSubstr("1 FAILED TEST"));
}

TEST(RepeatLine, SaysNothingOfATestThatPasses) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto [text, status] = output_of("'" + program + "' --gtest_filter='Documents.*'");
  EXPECT_EQ(status, 0) << text;
  EXPECT_EQ(text.find("Repeat it"), std::string::npos) << text;
}

}  // namespace
}  // namespace mlsim
