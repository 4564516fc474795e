// Sweeps in parts without MPI: shards of an array job, shared folders, samples.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

constexpr const char* kShardsWorkload = R"({ "schema": "mlsim.workload/1", "name": "small", "seed": 1, "format": "e2m4",
  "values": {}, "layers": [
    { "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 8, "out_channels": 8, "in_size": [12, 12],
      "kernel": [3, 3], "padding": [1, 1] } ] })";
constexpr const char* kSweep =
    "workload.json --formats int8,nvfp4 --exponent-bits 0:3 --mantissa-bits 1:4 --accumulator-bits full,12 --sharing "
    "2,8 --jobs 1 ";

class Shards : public testing::Test {
 protected:
  Shards() { folder_.write("workload.json", kShardsWorkload); }

  test::CommandResult run(const std::string& arguments) const {
    return test::run_mlsim(MLSIM_COMMAND, folder_, "sweep " + arguments);
  }
  void expect_error(const std::string& arguments, const std::string& part) const {
    const test::CommandResult result = run(arguments);
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_THAT(result.err, HasSubstr(part)) << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  // All shards of a sweep; their names.
  std::string run_shards(int count, const std::string& sweep, const std::string& name = "part") const {
    std::string files;
    for (int number = 1; number <= count; ++number) {
      const std::string file = fmt::format("{}{}of{}.jsonl", name, number, count);
      const test::CommandResult result = run(fmt::format("{} --shard {}/{} --out {}", sweep, number, count, file));
      EXPECT_EQ(result.status, 0) << result.err;
      EXPECT_THAT(result.out, HasSubstr(fmt::format("shard {} of {}", number, count)));
      EXPECT_FALSE(fs::exists(folder_.path() / (file + ".journal")));
      files += file + " ";
    }
    return files;
  }

  test::TemporaryFolder folder_;
};

TEST_F(Shards, MergedAreTheBytesOfOneCommand) {
  for (const std::string engine : {"functional", "analytic"}) {
    const std::string sweep = kSweep + ("--engine " + engine);
    for (const std::string ending : {"csv", "json"}) ASSERT_EQ(run(sweep + " --out whole." + ending).status, 0);
    const std::string table = folder_.read("out.txt");
    for (const int count : {1, 3, 7}) {
      SCOPED_TRACE(fmt::format("{} {}", engine, count));
      const std::string files = run_shards(count, sweep, engine);
      for (const std::string ending : {"csv", "json"}) {
        const test::CommandResult merged = run("--merge " + files + "--out merged." + ending);
        ASSERT_EQ(merged.status, 0) << merged.err;
        EXPECT_EQ(folder_.read("merged." + ending), folder_.read("whole." + ending));
        EXPECT_EQ(merged.out, table);
      }
    }
  }
}

TEST_F(Shards, OfASampleToo) {
  for (const std::string sampling : {"random", "latin-hypercube"}) {
    const std::string sweep = kSweep + ("--sample 20 --seed 3 --sampling " + sampling);
    ASSERT_EQ(run(sweep + " --out whole.csv").status, 0);
    const std::string files = run_shards(4, sweep, sampling);
    ASSERT_EQ(run("--merge " + files + "--out merged.csv").status, 0);
    EXPECT_EQ(folder_.read("merged.csv"), folder_.read("whole.csv"));
  }
}

TEST_F(Shards, RefuseWhatIsNotOneSweep) {
  const std::string sweep = kSweep + std::string("--engine analytic");
  run_shards(3, sweep);
  run_shards(3, sweep + " --activity zeros", "zeros");
  expect_error("--merge part1of3.jsonl part3of3.jsonl --out m.csv", "of a sweep of 3 shards, of which 2 is missing");
  expect_error("--merge part1of3.jsonl part1of3.jsonl --out m.csv", "part1of3.jsonl: is shard 1 of 3, as part1of3");
  expect_error("--merge part1of3.jsonl part2of3.jsonl zeros3of3.jsonl --out m.csv",
               "zeros3of3.jsonl: is of another sweep than part1of3.jsonl");
  expect_error("--merge workload.json --out m.csv", "workload.json: ");
  expect_error("--merge part1of3.jsonl part2of3.jsonl part3of3.jsonl", "--out: is missing");
  expect_error("--merge part1of3.jsonl part2of3.jsonl part3of3.jsonl --out m.jsonl", "ends in .csv or .json");
  expect_error("--merge part1of3.jsonl --engine analytic --out m.csv", "--engine: is given beside --merge");
  expect_error(sweep + " --shard 1/3", "--out: is missing, expected a name that ends in .jsonl");
  expect_error(sweep + " --shard 1/3 --out s.csv", "--out: is 's.csv', expected a name that ends in .jsonl");
  expect_error(sweep + " --out s.jsonl", "--out: is 's.jsonl', expected a name that ends in .csv or .json");
  expect_error(sweep + " --shard 4/3 --out s.jsonl", "--shard: is '4/3', expected I/N");
  expect_error(sweep + " --seed 3", "--seed: is given, expected --sample beside it");
  expect_error("workload.json other.json --formats e2m4", "'other.json' is one argument too many");
  EXPECT_FALSE(fs::exists(folder_.path() / "m.csv"));
}

TEST_F(Shards, AKilledOneGoesOn) {
  const std::string sweep = kSweep + std::string("--grouping nc,n,c ");
  ASSERT_EQ(run(sweep + "--out whole.csv").status, 0);
  for (const char* number : {"1", "2"}) {
    const std::string part = fmt::format("{} --shard {}/2 --out {}.jsonl", sweep, number, number);
    {
      Process process(folder_.path(), fmt::format("'{}' sweep {}", MLSIM_COMMAND, part));
      ASSERT_TRUE(test::comes_true(
          [&] { return !process.runs() || folder_.read(fmt::format("{}.jsonl.journal", number)).size() > 4000; }));
      process.signal(SIGKILL);
      process.wait();
    }
    // Another shard under the same name is another sweep.
    if (number[0] == '1') {
      EXPECT_THAT(run(sweep + "--shard 2/2 --out 1.jsonl").err, HasSubstr("was of another sweep and is begun anew"));
    }
    ASSERT_EQ(run(part).status, 0);
  }
  ASSERT_EQ(run("--merge 2.jsonl 1.jsonl --out merged.csv").status, 0);
  EXPECT_EQ(folder_.read("merged.csv"), folder_.read("whole.csv"));
}

// A launcher whose processes cannot reach each other.
TEST_F(Shards, ALauncherWithoutMpiIsRefusedByItsFirstProcess) {
#ifdef MLSIM_HAS_MPI
  GTEST_SKIP() << "built with MPI";
#else
  const auto as_rank = [&](int rank) {
    const std::string line = fmt::format(
        "cd '{}' && OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK={} '{}' sweep workload.json --formats e2m4 >out.txt "
        "2>err.txt",
        folder_.path().string(), rank, MLSIM_COMMAND);
    const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): the shell is what is tested
    return std::pair(WEXITSTATUS(status), folder_.read("err.txt"));
  };
  EXPECT_EQ(as_rank(0).first, 2);
  EXPECT_THAT(as_rank(0).second, HasSubstr("mpirun has started 2 processes, but this mlsim cannot use MPI"));
  EXPECT_EQ(as_rank(1), std::pair(0, std::string()));
#endif
}

#ifdef MLSIM_LYING_TIMES
class SharedFolder : public Shards {
 protected:
  SharedFolder() {
    fs::copy(fs::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4", folder_.path() / "trace");
  }
  std::string lying(const std::string& how, const std::string& arguments) const {
    return fmt::format("env LD_PRELOAD='{}' MLSIM_LYING_TIMES={} '{}' sweep {}", MLSIM_LYING_TIMES, how, MLSIM_COMMAND,
                       arguments);
  }
  bool has_begun(Process& process) const {
    return test::comes_true([&] { return !process.runs() || folder_.read("s.csv.journal").size() > 2000; });
  }
};

TEST_F(SharedFolder, WithWildTimesASweepEndsInTheSameBytes) {
  const std::string sweep = "trace/workload.json --exponent-bits 1:2 --mantissa-bits 1:4 --jobs 1 --out ";
  ASSERT_EQ(run(sweep + "plain.csv").status, 0);
  {
    Process process(folder_.path(), lying("wild", sweep + "s.csv"));
    ASSERT_TRUE(has_begun(process));
    process.signal(SIGKILL);
    process.wait();
  }
  Process again(folder_.path(), lying("wild", sweep + "s.csv"));
  ASSERT_EQ(again.wait(), 0) << folder_.read("err.txt");
  EXPECT_EQ(folder_.read("s.csv"), folder_.read("plain.csv"));
}

// No time tells that a tensor has changed, and no row is of other values than the rest.
TEST_F(SharedFolder, WithFrozenTimesAChangedTensorIsFoundOut) {
  const std::string sweep = "trace/workload.json --exponent-bits 0:3 --mantissa-bits 1:5 --jobs 1 --out s.csv";
  for (const char* cache : {"512", "0"}) {
    SCOPED_TRACE(cache);
    Process process(folder_.path(), lying("frozen", fmt::format("{} --cache {}", sweep, cache)));
    ASSERT_TRUE(has_begun(process));
    std::fstream tensor(folder_.path() / "trace/layer3.0.conv1.weight.npy");
    tensor.seekg(-1, std::ios::end);
    const char last = static_cast<char>(tensor.peek());
    tensor.seekp(-1, std::ios::end);
    tensor.put(static_cast<char>(last ^ 1));
    tensor.close();
    EXPECT_EQ(process.wait(), 2);
    EXPECT_THAT(folder_.read("err.txt"), HasSubstr("has changed since the sweep began"));
    EXPECT_FALSE(fs::exists(folder_.path() / "s.csv"));
    fs::remove(folder_.path() / "s.csv.journal");
  }
}
#endif

}  // namespace
}  // namespace mlsim
