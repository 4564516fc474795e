// The main of every test program: below what a failing test says stands the line that runs it again.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

class RepeatLine : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& test) override {
    if (!test.result()->Failed()) return;
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    // It decides how often a test repeats what only chance shows.
    const char* const one_of = std::getenv("MLSIM_ONE_OF");  // NOLINT(concurrency-mt-unsafe)
    const std::string name = test.name();
    fmt::print("Repeat it: {}'{}' --gtest_filter='{}.{}'{}\n",
               one_of == nullptr ? std::string() : fmt::format("MLSIM_ONE_OF='{}' ", one_of), program.string(),
               test.test_suite_name(), name, name.starts_with("DISABLED_") ? " --gtest_also_run_disabled_tests" : "");
    std::fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new RepeatLine);  // which owns it
  return RUN_ALL_TESTS();
}
