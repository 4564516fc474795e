#include "evaluation/sweep_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using testing::HasSubstr;

class Journal : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(Journal, ASecondOneWithTheSameOutputIsRefused) {
  const SweepJournal journal(folder_.path() / "s.csv", "first", 8);
  EXPECT_THAT(test::error_of([&] { SweepJournal(folder_.path() / "s.csv", "first", 8); }), HasSubstr("another sweep"));
}

TEST_F(Journal, AJournalIsTakenUpOnlyForTheSameSweep) {
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
    ASSERT_EQ(journal.finished(), 2U);
    EXPECT_TRUE(journal.has(3));
    EXPECT_EQ(journal.row(1)["x"], 2);
  }
  const SweepJournal journal(out, "second", 8);
  EXPECT_EQ(journal.finished(), 0U);
  EXPECT_FALSE(journal.has(3));
}

TEST_F(Journal, DropsDamagedAndForeignLinesOfAJournal) {
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
    ASSERT_EQ(journal.finished(), 1U);
    EXPECT_EQ(journal.row(4)["x"], 2);
    EXPECT_EQ(journal.dropped(), 11U);
    journal.add(3, {{"x", 1.5}});
    EXPECT_EQ(journal.row(3)["x"], 1.5);
  }
  const SweepJournal journal(out, "first", 8);
  EXPECT_EQ(journal.finished(), 2U);
  EXPECT_EQ(journal.row(3)["x"], 1.5);
}

TEST_F(Journal, ALineOfAnotherSweepIsForeign) {
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
  EXPECT_EQ(journal.finished(), 1U);
  EXPECT_EQ(journal.dropped(), 1U);
}

// What a file of gigabytes holds is read line by line; a line too long for a row is dropped.
TEST_F(Journal, DropsALineWithoutEnd) {
  const std::filesystem::path out = folder_.path() / "s.csv";
  { SweepJournal(out, "first", 8).add(3, {{"x", 1}}); }
  std::ofstream(out.string() + ".journal", std::ios::app)
      << R"({"point":4,"row":{"x":")" << std::string(3 << 20, 'y') << "\"}\n"
      << R"({"point":5)";
  SweepJournal journal(out, "first", 8);
  EXPECT_EQ(journal.finished(), 1U);
  EXPECT_EQ(journal.dropped(), 1U);
  journal.add(5, {{"x", 5}});
  EXPECT_EQ(journal.row(5)["x"], 5);
  EXPECT_EQ(journal.row(3)["x"], 1);
}

TEST_F(Journal, SaysSoWhereARowIsNoLongerWhatItWas) {
  const std::filesystem::path out = folder_.path() / "s.csv";
  SweepJournal journal(out, "first", 8);
  journal.add(3, {{"x", 1.5}});
  std::string text = folder_.read("s.csv.journal");
  const std::size_t digit = text.find("1.5");
  std::fstream file(out.string() + ".journal");
  file.seekp(static_cast<std::streamoff>(digit));
  file << "2" << std::flush;
  EXPECT_THAT(test::error_of([&] { journal.row(3); }), HasSubstr("s.csv.journal: has changed while it was in use"));
}

// A disk that is full within a line, and then has room again.
TEST_F(Journal, AnAddThatFailsLeavesNoHalfLine) {
  const std::filesystem::path out = folder_.path() / "s.csv";
  {
    SweepJournal journal(out, "first", 8);
    journal.add(3, {{"x", 3}});
    const std::string before = folder_.read("s.csv.journal");
    rlimit limits{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limits), 0);
    const rlimit full{before.size() + 10, limits.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    const std::string error = test::error_of([&] { journal.add(4, {{"x", 4}}); });
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limits), 0);
    std::signal(SIGXFSZ, handler);
    EXPECT_THAT(error, HasSubstr("s.csv.journal: cannot be written: File too large"));
    EXPECT_EQ(folder_.read("s.csv.journal"), before);
    EXPECT_FALSE(journal.has(4));
    journal.add(5, {{"x", 5}});
    EXPECT_EQ(journal.row(5)["x"], 5);
  }
  const SweepJournal journal(out, "first", 8);
  EXPECT_EQ(journal.finished(), 2U);
  EXPECT_EQ(journal.dropped(), 0U);
  EXPECT_EQ(journal.row(5)["x"], 5);
}

TEST_F(Journal, RefusesAFileThatIsNone) {
  folder_.write("s.csv.journal", "notes of somebody\n");
  EXPECT_THAT(test::error_of([&] { SweepJournal(folder_.path() / "s.csv", "first", 8); }),
              HasSubstr("is no journal of a sweep"));
  EXPECT_EQ(folder_.read("s.csv.journal"), "notes of somebody\n");
}

}  // namespace
}  // namespace mlsim::evaluation
