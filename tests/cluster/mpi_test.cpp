// mlsim sweep under mpirun: the same bytes on any number of ranks, whatever dies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>

#include "tests/support/command.h"
#include "tests/support/processes.h"

namespace mlsim {
namespace {

namespace fs = std::filesystem;
using test::Process;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kMpiWorkload = R"({ "schema": "mlsim.workload/1", "name": "small", "seed": 1, "format": "e2m4",
  "values": {}, "layers": [
    { "name": "conv", "type": "conv2d", "batch": 4, "in_channels": 8, "out_channels": 8, "in_size": [16, 16],
      "kernel": [3, 3], "padding": [1, 1] } ] })";
constexpr const char* kRanges =
    " --exponent-bits 0:3 --mantissa-bits 1:5 --grouping nc,n,c --accumulator-bits full,14 --sharing 4,8 --jobs 1";

bool has_mpirun() {
  return std::system("command -v mpirun >/dev/null 2>&1") == 0;  // NOLINT(cert-env33-c): the shell knows its path
}

class Mpi : public testing::Test {
 protected:
  void SetUp() override {
#ifndef MLSIM_HAS_MPI
    GTEST_SKIP() << "built without MPI: libopenmpi-dev was not found";
#endif
    if (!has_mpirun()) GTEST_SKIP() << "mpirun is not on the PATH";
    folder_.write("workload.json", kMpiWorkload);
  }

  // In the shell's language: ranks that may be more than there are cores, on this machine alone, by any user.
  std::string mpirun(int ranks, const std::string& mlsim_arguments, const std::string& launcher_options = "") const {
    return "env TMPDIR='" + folder_.path().string() +
           "' OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1"
           " OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl=self,vader OMPI_MCA_plm_rsh_agent=sh"
           " OMPI_MCA_btl_vader_single_copy_mechanism=none MLSIM_TEST_FOLDER='" +
           folder_.path().string() + "' mpirun -n " + std::to_string(ranks) + " " + launcher_options + " '" +
           MLSIM_COMMAND + "' sweep " + mlsim_arguments;
  }
  test::CommandResult run(const std::string& command) const {
    const std::string line = "cd '" + folder_.path().string() + "' && " + command + " >out.txt 2>err.txt";
    const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): the shell is what is tested
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, folder_.read("out.txt"), folder_.read("err.txt")};
  }
  test::CommandResult run_plain(const std::string& arguments) const {
    return test::run_mlsim(MLSIM_COMMAND, folder_, "sweep " + arguments);
  }
  std::string sentence_of(const test::CommandResult& result) const {
    // mpirun has its own words for a process that has not ended well.
    const std::size_t begin = result.err.find("mlsim: ");
    return begin == std::string::npos ? "" : result.err.substr(begin, result.err.find('\n', begin) - begin);
  }
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }

  // Waits until a sweep that is running has finished some points, and not all.
  void wait_for_points(Process& process, const std::string& out) const {
    ASSERT_TRUE(test::comes_true([&] {
      std::error_code none;
      const fs::path journal = folder_.path() / (out + ".journal");
      return !process.runs() || (fs::exists(journal, none) && fs::file_size(journal, none) > 6000);
    }));
    ASSERT_TRUE(process.runs()) << "it had ended before it was to be killed: " << folder_.read("err.txt");
  }
  std::vector<pid_t> ranks_of_this_test() const {
    std::vector<pid_t> ranks;
    for (const pid_t process : test::processes_with("MLSIM_TEST_FOLDER=" + folder_.path().string())) {
      std::error_code none;
      const fs::path program = fs::read_symlink("/proc/" + std::to_string(process) + "/exe", none);
      if (program == fs::canonical(MLSIM_COMMAND)) ranks.push_back(process);
    }
    return ranks;
  }
  bool all_ranks_end() const {
    return test::comes_true([&] { return ranks_of_this_test().empty(); });
  }
  pid_t rank(int number) const {
    const std::vector<pid_t> own = ranks_of_this_test();
    for (const pid_t process : test::processes_with("OMPI_COMM_WORLD_RANK=" + std::to_string(number))) {
      if (std::find(own.begin(), own.end(), process) != own.end()) return process;
    }
    return -1;
  }

  test::TemporaryFolder folder_;
};

TEST_F(Mpi, TheSameBytesOnAnyNumberOfRanks) {
  for (const char* file : {"plain.csv", "plain.json"}) {
    ASSERT_EQ(run_plain(std::string("workload.json --out ") + file + kRanges).status, 0);
  }
  const std::string table = folder_.read("out.txt");
  for (const int ranks : {1, 2, 4}) {
    SCOPED_TRACE(ranks);
    for (const char* file : {"plain.csv", "plain.json"}) {
      const std::string out = std::to_string(ranks) + file;
      const test::CommandResult result = run(mpirun(ranks, "workload.json --out " + out + kRanges));
      ASSERT_EQ(result.status, 0) << result.err;
      EXPECT_EQ(result.err, "");
      EXPECT_EQ(result.out, table);
      EXPECT_EQ(folder_.read(out), folder_.read(file));
      EXPECT_FALSE(fs::exists(folder_.path() / (out + ".journal")));
    }
  }
}

TEST_F(Mpi, WithoutAnOutputItPrintsTheTable) {
  const std::string few = "workload.json --exponent-bits 1:2 --mantissa-bits 1:3 --jobs 1";
  EXPECT_EQ(run(mpirun(2, few)).out, run_plain(few).out);
}

TEST_F(Mpi, GoesOnAfterTheDeathOfARank) {
  ASSERT_EQ(run_plain(std::string("workload.json --out plain.csv") + kRanges).status, 0);
  for (const int killed : {1, 0}) {
    SCOPED_TRACE(killed);
    {
      Process process(folder_.path(), mpirun(3, std::string("workload.json --out s.csv") + kRanges));
      wait_for_points(process, "s.csv");
      const pid_t victim = rank(killed);
      ASSERT_GT(victim, 0);
      kill(victim, SIGKILL);
      EXPECT_NE(process.wait(), 0);
      EXPECT_TRUE(all_ranks_end());
      if (killed != 0) {
        EXPECT_THAT(folder_.read("err.txt"),
                    HasSubstr("mlsim: sweep interrupted, its finished points are in s.csv.journal: the same command "
                              "goes on from there"));
      }
    }
    const std::string journal = folder_.read("s.csv.journal");
    EXPECT_GT(count(journal, "\n"), 1U);
    // On another number of ranks, and by itself.
    const test::CommandResult again = killed == 0 ? run_plain(std::string("workload.json --out s.csv") + kRanges)
                                                  : run(mpirun(2, std::string("workload.json --out s.csv") + kRanges));
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
    fs::remove(folder_.path() / "s.csv");
  }
}

TEST_F(Mpi, GoesOnAfterTheDeathOfTheLauncher) {
  ASSERT_EQ(run_plain(std::string("workload.json --out plain.csv") + kRanges).status, 0);
  for (const int number : {SIGKILL, SIGTERM, SIGINT}) {
    SCOPED_TRACE(number);
    Process process(folder_.path(), mpirun(3, std::string("workload.json --out s.csv") + kRanges));
    wait_for_points(process, "s.csv");
    process.signal(number);
    EXPECT_NE(process.wait(), 0);
    ASSERT_TRUE(all_ranks_end());
    const test::CommandResult again = run(mpirun(2, std::string("workload.json --out s.csv") + kRanges));
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
    fs::remove(folder_.path() / "s.csv");
  }
}

TEST_F(Mpi, AMistakeIsOneSentence) {
  for (const auto& [arguments, sentence] :
       {std::pair{"workload.json", "nothing to sweep"},
        {"none.json --formats e2m4", "mlsim: error: none.json: cannot be read"},
        {"workload.json --formats e2m4 --no-such-option", "unrecognised option"},
        {"workload.json --formats e2m4 --out s.txt", "--out: is 's.txt'"},
        {"- --formats e2m4", "standard input, which one rank alone has"},
        {"workload.json --formats e2m4 --out /proc/nowhere/s.csv", "/proc/nowhere"}}) {
    SCOPED_TRACE(arguments);
    const test::CommandResult result = run(mpirun(3, arguments));
    EXPECT_EQ(result.status, 2);
    EXPECT_THAT(sentence_of(result), HasSubstr(sentence)) << result.err;
    EXPECT_EQ(count(result.err, "mlsim: error"), 1U) << result.err;
    EXPECT_TRUE(ranks_of_this_test().empty());
  }
}

// What one rank alone meets, by a wrapper that gives it another workload.
TEST_F(Mpi, AMistakeOfOneRankNamesIt) {
  std::string other = kMpiWorkload;
  other.replace(other.find("\"seed\": 1"), 9, "\"seed\": 2");
  fs::create_directory(folder_.path() / "other");
  fs::create_directory(folder_.path() / "empty");
  folder_.write("other/workload.json", other);
  for (const auto& [place, sentence] :
       {std::pair{"empty", "rank 2 of 3: workload.json: cannot be read"},
        {"other", "rank 2 of 3: sees another workload, table, array or program than rank 0"}}) {
    folder_.write("wrapper",
                  std::string("#!/bin/sh\n[ \"$OMPI_COMM_WORLD_RANK\" != 2 ] || cd ") + place + "\nexec \"$@\"\n");
    fs::permissions(folder_.path() / "wrapper", fs::perms::owner_all);
    const test::CommandResult result = run(mpirun(3, std::string("workload.json --out s.csv") + kRanges, "./wrapper"));
    EXPECT_EQ(result.status, 2);
    EXPECT_THAT(sentence_of(result), HasSubstr(sentence)) << result.err;
    EXPECT_EQ(count(result.err, "mlsim: error"), 1U) << result.err;
    EXPECT_FALSE(fs::exists(folder_.path() / "s.csv.journal"));
  }
}

TEST_F(Mpi, ATensorThatGoesAwayEndsAllRanksAndTheJournalHasRightRows) {
  const fs::path trace = fs::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  fs::copy(trace, folder_.path() / "trace");
  const std::string ranges = "trace/workload.json --exponent-bits 0:2 --mantissa-bits 1:5 --cache 0 --jobs 1 --out ";
  ASSERT_EQ(run_plain(ranges + "plain.csv").status, 0);
  const fs::path tensor = folder_.path() / "trace/layer2.0.conv1.weight.npy";
  {
    Process process(folder_.path(), mpirun(2, ranges + "s.csv"));
    ASSERT_TRUE(test::comes_true([&] { return !process.runs() || count(folder_.read("s.csv.journal"), "\n") > 2; }));
    fs::rename(tensor, folder_.path() / "away.npy");
    EXPECT_EQ(process.wait(), 2);
    EXPECT_TRUE(all_ranks_end());
    EXPECT_THAT(folder_.read("err.txt"), HasSubstr("layer2.0.conv1.weight.npy: cannot be "));
    EXPECT_EQ(count(folder_.read("err.txt"), "mlsim: error"), 1U);
  }
  fs::rename(folder_.path() / "away.npy", tensor);
  const test::CommandResult again = run(mpirun(2, ranges + "s.csv"));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
}

TEST_F(Mpi, ShardsAndHelpAreForRanksToo) {
  const std::string sweep = std::string("workload.json") + kRanges;
  ASSERT_EQ(run_plain(sweep + " --out plain.csv").status, 0);
  for (const char* shard : {"1", "2"}) {
    ASSERT_EQ(run(mpirun(2, sweep + " --shard " + shard + "/2 --out " + shard + ".jsonl")).status, 0);
  }
  ASSERT_EQ(run(mpirun(2, "--merge 1.jsonl 2.jsonl --out s.csv")).status, 0);
  EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
  const test::CommandResult help = run(mpirun(2, "--help"));
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(count(help.out, "usage: "), count(run_plain("--help").out, "usage: "));
}

// Each process on its own, as without MPI.
TEST_F(Mpi, CanBeTurnedOff) {
  const std::string few = "workload.json --exponent-bits 1:2 --mantissa-bits 1:3 --jobs 1";
  const std::string table = run_plain(few).out;
  const std::string out = run("env MLSIM_MPI=off " + mpirun(2, few)).out;
  EXPECT_EQ(out.size(), 2 * table.size());
  EXPECT_EQ(count(out, "Pareto front"), 2U);
}

// A plain command has nothing of MPI in it.
TEST_F(Mpi, IsNotLoadedByAPlainCommand) {
  Process process(folder_.path(), std::string("'") + MLSIM_COMMAND + "' sweep workload.json --out s.csv" + kRanges);
  wait_for_points(process, "s.csv");
  const std::string maps = [&] {
    std::ostringstream text;
    text << std::ifstream("/proc/" + std::to_string(process.id()) + "/maps").rdbuf();
    return text.str();
  }();
  EXPECT_THAT(maps, HasSubstr("libtbb"));
  EXPECT_THAT(maps, Not(HasSubstr("libmpi")));
  EXPECT_THAT(maps, Not(HasSubstr("mlsim_mpi")));
}

#ifdef MLSIM_LYING_TIMES
// Folders that are shared may have any times.
TEST_F(Mpi, DoesNotDependOnTimesOfFiles) {
  const fs::path trace = fs::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  fs::copy(trace, folder_.path() / "trace");
  const std::string ranges = "trace/workload.json --exponent-bits 1:2 --mantissa-bits 1:4 --jobs 1 --out ";
  ASSERT_EQ(run_plain(ranges + "plain.csv").status, 0);
  const std::string lies = "-x LD_PRELOAD=" MLSIM_LYING_TIMES " -x MLSIM_LYING_TIMES=wild";
  {
    Process process(folder_.path(), mpirun(2, ranges + "s.csv", lies));
    ASSERT_TRUE(test::comes_true([&] { return !process.runs() || count(folder_.read("s.csv.journal"), "\n") > 2; }));
    kill(rank(1), SIGKILL);
    process.wait();
    ASSERT_TRUE(all_ranks_end());
  }
  const test::CommandResult again = run(mpirun(2, ranges + "s.csv", lies));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
}
#endif

}  // namespace
}  // namespace mlsim
