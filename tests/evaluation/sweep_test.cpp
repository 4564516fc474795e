#include "evaluation/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

class Sweep : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(Sweep, ASecondOneWithTheSameOutputIsRefused) {
  const SweepJournal journal(folder_.path() / "s.csv", "first", 8);
  EXPECT_THAT(test::error_of([&] { SweepJournal(folder_.path() / "s.csv", "first", 8); }), HasSubstr("another sweep"));
}

TEST_F(Sweep, AJournalIsTakenUpOnlyForTheSameSweep) {
  const std::filesystem::path out = folder_.path() / "s.csv";
  {
    SweepJournal journal(out, "first", 8);
    journal.add(3, {{"x", 1}});
    journal.add(1, {{"x", 2}});
  }
  // A kill may cut the last line anywhere.
  std::ofstream(out.string() + ".journal", std::ios::app) << R"({"point":7,"ro)";
  {
    const SweepJournal journal(out, "first", 8);
    ASSERT_EQ(journal.finished().size(), 2U);
    EXPECT_EQ(journal.finished()[0].first, 3U);
    EXPECT_EQ(journal.finished()[1].second["x"], 2);
  }
  const SweepJournal journal(out, "second", 8);
  EXPECT_TRUE(journal.finished().empty());
}

TEST_F(Sweep, DropsDamagedAndForeignLinesOfAJournal) {
  const std::filesystem::path out = folder_.path() / "s.csv";
  {
    SweepJournal journal(out, "first", 8);
    journal.add(3, {{"x", 1.5}});
    journal.add(4, {{"x", 2}});
  }
  std::string text = folder_.read("s.csv.journal");
  // One digit of a row differs from what its checksum was made of.
  text.replace(text.find("1.5"), 3, "1.6");
  const std::string good = text.substr(text.find("{\"point\":4"));
  for (const char* line : {R"({"point":999,"row":{"x":1},"check":"0"})", R"({"point":-1,"row":{"x":1},"check":"0"})",
                           R"({"point":1,"row":{},"check":"0"})", R"({"point":"1","row":{},"check":"0"})",
                           R"({"point":1})", "[]", "x", ""}) {
    text += std::string(line) + "\n";
  }
  text += std::string(60'000, '[') + "\n" + good;
  folder_.write("s.csv.journal", text);
  {
    SweepJournal journal(out, "first", 8);
    ASSERT_EQ(journal.finished().size(), 1U);
    EXPECT_EQ(journal.finished()[0].first, 4U);
    EXPECT_EQ(journal.finished()[0].second["x"], 2);
    EXPECT_EQ(journal.dropped(), 11U);
    journal.add(3, {{"x", 1.5}});
  }
  const SweepJournal journal(out, "first", 8);
  EXPECT_EQ(journal.finished().size(), 2U);
}

TEST_F(Sweep, ALineOfAnotherSweepIsForeign) {
  {
    SweepJournal journal(folder_.path() / "a.csv", "first", 8);
    journal.add(3, {{"x", 1}});
  }
  {
    SweepJournal journal(folder_.path() / "b.csv", "second", 8);
    journal.add(4, {{"x", 2}});
  }
  const std::string other = folder_.read("b.csv.journal");
  folder_.write("a.csv.journal", folder_.read("a.csv.journal") + other.substr(other.find('\n') + 1));
  const SweepJournal journal(folder_.path() / "a.csv", "first", 8);
  EXPECT_EQ(journal.finished().size(), 1U);
  EXPECT_EQ(journal.dropped(), 1U);
}

TEST_F(Sweep, ATensorThatChangesMeanwhileEndsIt) {
  const std::filesystem::path trace =
      std::filesystem::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  std::filesystem::copy(trace, folder_.path() / "trace");
  const workloads::Workload workload = workloads::load_workload(folder_.path() / "trace/workload.json");
  const SweepTensors tensors(workload);
  tensors.require_unchanged();
  const std::string name = "trace/layer2.0.conv1.weight.npy";
  std::string values = folder_.read(name);
  values.back() = static_cast<char>(values.back() ^ 1);
  folder_.write(name, values);
  EXPECT_THAT(test::error_of([&] { tensors.require_unchanged(); }), HasSubstr("has changed since the sweep began"));
  EXPECT_NE(SweepTensors(workload).hash(), tensors.hash());
  std::filesystem::resize_file(folder_.path() / name, std::uintmax_t{1} << 40);
  EXPECT_THAT(test::error_of([&] { const SweepTensors sparse(workload); }),
              HasSubstr("layer2.0.conv1.weight.npy: has 1099511627776 bytes, more than the 4608 values"));
}

}  // namespace
}  // namespace mlsim::evaluation
