// mlsim-train as two processes of one training.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/free_port.h"
#include "tests/trainer/metrics_file.h"
#include "tests/trainer/written_images.h"
#include "tests/trainer/written_mnist.h"

namespace mlsim::trainer {
namespace {

using test::metrics_of;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kRanksRecipe =
    R"({"model": "resnet8", "dataset": "mnist", "data": ".", "format": "e2m4", "batch": 10,
  "learning-rate": 0.05, "seed": 5})";
const std::string kOptions = "--recipe recipe.json ";

void write_data(const TemporaryFolder& folder, std::uint32_t test_images = 20) {
  test::write_mnist(folder.path(), 40, test_images);
  folder.write("recipe.json", kRanksRecipe);
}

// A command that starts a rank of two in the background, with its process number in $pidN and what it prints in
// outN.txt and logN.txt.
std::string start(int rank, std::uint16_t port, const std::string& arguments) {
  const std::string number = std::to_string(rank);
  return "RANK=" + number + " WORLD_SIZE=2 LOCAL_RANK=" + number +
         " MASTER_ADDR=127.0.0.1 MASTER_PORT=" + std::to_string(port) + " '" MLSIM_TRAIN "' --threads 1 " + arguments +
         " > out" + number + ".txt 2> log" + number + ".txt & pid" + number + "=$!\n";
}

// Until a file has something in it.
std::string wait_for(const std::string& file) {
  return "while ! [ -s " + file + " ]; do kill -0 $pid0 || exit 1; sleep 0.05; done\n";
}

// The exit statuses of the two ranks, between which `commands` run once they are started.
std::vector<int> run(const TemporaryFolder& folder, const std::vector<std::string>& arguments,
                     const std::string& commands = "") {
  const std::uint16_t port = test::free_port();
  const std::string script = "cd '" + folder.path().string() + "'\n" + start(0, port, arguments[0]) +
                             start(1, port, arguments[1]) + commands +
                             "wait $pid0; echo $? > status.txt; wait $pid1; echo $? >> status.txt\n";
  folder.write("run.sh", script);
  EXPECT_EQ(std::system(("/bin/sh '" + (folder.path() / "run.sh").string() + "'").c_str()), 0);
  std::istringstream statuses(folder.read("status.txt"));
  std::vector<int> result(2, -1);
  for (int& status : result) statuses >> status;
  return result;
}

std::vector<int> run_both(const TemporaryFolder& folder, const std::string& arguments,
                          const std::string& commands = "") {
  return run(folder, {kOptions + arguments, kOptions + arguments}, commands);
}

std::string logs(const TemporaryFolder& folder) {
  return folder.read("log0.txt") + folder.read("log1.txt");
}

int run_alone(const TemporaryFolder& folder, const std::string& arguments) {
  return WEXITSTATUS(std::system(("cd '" + folder.path().string() + "' && '" MLSIM_TRAIN "' --threads 1 " + kOptions +
                                  arguments + " > out.txt 2> log.txt")
                                     .c_str()));
}

TEST(DataParallel, MakesAStepOfTheWholeBatch) {
  const TemporaryFolder folder;
  write_data(folder, 600);
  for (const std::string arithmetic : {"dequantized", "exact"}) {
    const std::string step = "--steps 1 --sync-batch-norm --arithmetic " + arithmetic + " --metrics ";
    ASSERT_EQ(run_alone(folder, step + "one.jsonl"), 0) << folder.read("log.txt");
    ASSERT_THAT(run_both(folder, step + "two.jsonl"), ElementsAre(0, 0)) << logs(folder);
    const nlohmann::json one = metrics_of(folder, "one.jsonl").at(0);
    const nlohmann::json two = metrics_of(folder, "two.jsonl").at(0);
    EXPECT_NEAR(one["train_loss"], two["train_loss"], 1e-5);
    EXPECT_EQ(one["train_accuracy"], two["train_accuracy"]);
    EXPECT_NEAR(one["test_loss"], two["test_loss"], 1e-3);
    EXPECT_EQ(folder.read("out1.txt"), "");
  }
  // Of 600 images each rank evaluates some batches: without learning, as one process does.
  const std::string still =
      "--steps 1 --sync-batch-norm --learning-rate 0 --format fp32 --float-layers none --metrics ";
  ASSERT_EQ(run_alone(folder, still + "one.jsonl"), 0) << folder.read("log.txt");
  ASSERT_THAT(run_both(folder, still + "two.jsonl"), ElementsAre(0, 0)) << logs(folder);
  EXPECT_EQ(metrics_of(folder, "one.jsonl")[0]["test_accuracy"], metrics_of(folder, "two.jsonl")[0]["test_accuracy"]);
}

// Every epoch ends with a check that all ranks have the same weights.
TEST(DataParallel, RepeatsARunBitByBit) {
  const TemporaryFolder folder;
  write_data(folder);
  for (const std::string options :
       {"", "--scale-per-rank ", "--arithmetic exact --sync-batch-norm --format mxfp8/k5 "}) {
    for (const std::string name : {"first", "second"}) {
      ASSERT_THAT(
          run_both(folder, "--epochs 2 " + options + "--metrics " + name + ".jsonl --checkpoint " + name + ".pt"),
          ElementsAre(0, 0))
          << logs(folder);
    }
    EXPECT_EQ(metrics_of(folder, "first.jsonl").size(), 2U);
    EXPECT_EQ(metrics_of(folder, "first.jsonl"), metrics_of(folder, "second.jsonl"));
    EXPECT_EQ(folder.read("first.pt"), folder.read("second.pt"));
  }
}

TEST(DataParallel, GoesOnAfterASignalToOneRank) {
  const TemporaryFolder folder;
  write_data(folder);
  const std::string options = "--epochs 16 --metrics m.jsonl --checkpoint c.pt ";
  ASSERT_THAT(run_both(folder, "--epochs 16 --metrics whole.jsonl --checkpoint whole.pt"), ElementsAre(0, 0))
      << logs(folder);
  ASSERT_THAT(run_both(folder, options, wait_for("m.jsonl") + "kill -TERM $pid1\n"), ElementsAre(130, 130))
      << logs(folder);
  EXPECT_THAT(folder.read("log0.txt"),
              testing::MatchesRegex("mlsim-train: interrupted after step [0-9]+, go on with --resume c.pt\n"));
  EXPECT_EQ(folder.read("log1.txt"), "");
  EXPECT_EQ(run_alone(folder, options + "--resume c.pt"), 2);
  EXPECT_EQ(folder.read("log.txt"), "mlsim-train: error: c.pt: was made with ranks 2, this run has 1\n");
  ASSERT_THAT(run_both(folder, options + "--resume c.pt"), ElementsAre(0, 0)) << logs(folder);
  EXPECT_EQ(metrics_of(folder, "m.jsonl"), metrics_of(folder, "whole.jsonl"));
  EXPECT_EQ(folder.read("c.pt"), folder.read("whole.pt"));
}

TEST(DataParallel, EndsWhereARankIsKilled) {
  for (const int killed : {0, 1}) {
    const TemporaryFolder folder;
    write_data(folder);
    const std::string number = std::to_string(killed);
    const std::vector<int> statuses = run_both(folder, "--epochs 1000000 --metrics m.jsonl --checkpoint c.pt",
                                               wait_for("c.pt") + "kill -KILL $pid" + number + "\n");
    const int other = 1 - killed;
    EXPECT_EQ(statuses[static_cast<std::size_t>(killed)], 128 + 9);
    EXPECT_EQ(statuses[static_cast<std::size_t>(other)], 2);
    EXPECT_THAT(folder.read("log" + std::to_string(other) + ".txt"),
                HasSubstr("mlsim-train: error: rank " + std::to_string(other) +
                          " of 2: another rank has ended or cannot be reached, training cannot go on ("));
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "c.pt"));
  }
}

// A rank that cannot go on ends the others, too.
TEST(DataParallel, EndsWhereARankFails) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path() / "im", 2, 8, 4, 40);
  const std::string options = "--model resnet8 --dataset images --data im --image-size 16 --batch 4 --epochs 4 ";
  // Both meet it in the first epoch, one of them first.
  folder.write("im/train/class1/image3.jpg", "no image");
  EXPECT_THAT(run(folder, {options, options}), ElementsAre(2, 2));
  EXPECT_THAT(logs(folder), HasSubstr("im/train/class1/image3.jpg"));
  EXPECT_THAT(logs(folder), HasSubstr("another rank has ended"));
}

TEST(DataParallel, RefusesWithASentence) {
  const TemporaryFolder folder;
  write_data(folder);
  const auto error = [&](const std::string& arguments) {
    EXPECT_THAT(run_both(folder, arguments), ElementsAre(2, 2)) << arguments;
    return folder.read("log0.txt");
  };
  EXPECT_EQ(
      error("--steps 1 --batch 9"),
      "mlsim-train: error: --batch 9: is no multiple of the 2 ranks (WORLD_SIZE), expected equal parts for them\n");
  EXPECT_EQ(error("--steps 1 --trace t --trace-step 0"),
            "mlsim-train: error: --trace: 2 ranks (WORLD_SIZE) have each a part of the step's operands, expected one "
            "process\n");
  EXPECT_THAT(error("--steps 1 --format mxfp4/k4"), HasSubstr("--batch 10: 2 ranks cut the 4 images"));
  EXPECT_THAT(run(folder, {kOptions + "--steps 1", kOptions + "--steps 1 --random-bits 8"}), ElementsAre(2, 2));
  EXPECT_EQ(folder.read("log1.txt"),
            "mlsim-train: error: rank 1 of 2: has random-bits 8, rank 0 has 16, expected the same run on all ranks\n");
  const std::string command =
      "cd '" + folder.path().string() + "' && WORLD_SIZE=2 '" MLSIM_TRAIN "' " + kOptions + " > out.txt 2> log.txt";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 2);
  EXPECT_EQ(folder.read("log.txt"),
            "mlsim-train: error: environment: RANK is not set, expected it beside WORLD_SIZE\n");
}

}  // namespace
}  // namespace mlsim::trainer
