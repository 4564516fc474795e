// The command mlsim-train as users run it.
#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/metrics_file.h"
#include "tests/trainer/odd_files.h"
#include "tests/trainer/written_images.h"
#include "tests/trainer/written_mnist.h"

namespace mlsim::trainer {
namespace {

using test::metrics_of;
using test::TemporaryFolder;

// The exit status, after other commands of the shell; standard error goes to log.txt of the folder, where the command
// runs.
int run(const TemporaryFolder& folder, const std::string& arguments, const std::string& before = "") {
  const std::string command = before + "cd '" + folder.path().string() + "' && '" MLSIM_TRAIN "' --threads 1 " +
                              arguments + " > out.txt 2> log.txt";
  return WEXITSTATUS(std::system(command.c_str()));
}

constexpr const char* kRecipe = R"({"model": "resnet8", "dataset": "mnist", "data": ".", "format": "e2m4", "batch": 10,
  "epochs": 2, "learning-rate": 0.05, "warmup-epochs": 1, "seed": 5})";

TEST(Train, MakesTheSameRunFromASavedRecipe) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  ASSERT_EQ(run(folder, "--recipe recipe.json --save-recipe saved.json --metrics whole.jsonl"), 0)
      << folder.read("log.txt");
  const std::vector<nlohmann::json> whole = metrics_of(folder, "whole.jsonl");
  ASSERT_EQ(whole.size(), 2U);
  EXPECT_EQ(whole[1]["step"], 8);
  // The first of two epochs is the warm-up: its last learning rate is that of the cosine.
  EXPECT_NEAR(whole[0]["learning_rate"].get<double>(), 0.05 * (1 + std::cos(3 * 3.14159265 / 8)) / 2, 1e-6);

  ASSERT_EQ(run(folder, "--recipe saved.json --metrics again.jsonl --checkpoint c.pt"), 0) << folder.read("log.txt");
  EXPECT_EQ(metrics_of(folder, "again.jsonl"), whole);
  EXPECT_EQ(run(folder, "--recipe saved.json --seed 6 --resume c.pt"), 2);
  EXPECT_EQ(folder.read("log.txt"), "mlsim-train: error: c.pt: was made with seed 5, this run has 6\n");
}

TEST(Train, KeepsItsData) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  const std::string labels = folder.read("train-labels-idx1-ubyte");
  EXPECT_EQ(run(folder, "--recipe recipe.json --metrics train-labels-idx1-ubyte"), 2);
  EXPECT_EQ(folder.read("log.txt"),
            "mlsim-train: error: train-labels-idx1-ubyte: cannot be written: it is an input, expected another file\n");
  EXPECT_EQ(run(folder, "--recipe recipe.json --checkpoint ./train-labels-idx1-ubyte"), 2);
  EXPECT_EQ(folder.read("train-labels-idx1-ubyte"), labels);

  test::write_image_folder(folder.path() / "im", 2, 4, 2, 40);
  const std::string image = folder.read("im/train/class1/image0.jpg");
  EXPECT_EQ(run(folder,
                "--model resnet8 --dataset images --data im --batch 2 --steps 1 --metrics im/train/class1/image0.jpg"),
            2);
  EXPECT_EQ(
      folder.read("log.txt"),
      "mlsim-train: im: has 8 images of 2 classes to train on and 4 to test on\n"
      "mlsim-train: error: im/train/class1/image0.jpg: lies among the images of --data, expected another place\n");
  EXPECT_EQ(folder.read("im/train/class1/image0.jpg"), image);
  EXPECT_EQ(run(folder,
                "--model resnet8 --dataset images --data im --image-size 16 --batch 2 --steps 1 --metrics im/m.jsonl"),
            0)
      << folder.read("log.txt");
}

TEST(Train, WaitsForNoPipe) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path() / "im", 2, 4, 2, 40);
  test::make_pipe(folder.path() / "im/train/class1/image2.png");
  const std::string images = "--model resnet8 --dataset images --data im --image-size 16 --batch 2 --steps 1 ";
  EXPECT_EQ(run(folder, images), 2);
  EXPECT_EQ(folder.read("log.txt"),
            "mlsim-train: error: im/train/class1/image2.png: is no regular file, expected an image\n");
  std::filesystem::remove(folder.path() / "im/train/class1/image2.png");
  test::make_pipe(folder.path() / "c.pt");
  const std::string found = "mlsim-train: im: has 8 images of 2 classes to train on and 4 to test on\n";
  EXPECT_EQ(run(folder, images + "--resume c.pt"), 2);
  EXPECT_EQ(folder.read("log.txt"),
            found + "mlsim-train: error: c.pt: is no regular file, expected a checkpoint of mlsim-train\n");
  std::filesystem::create_directory(folder.path() / "trace");
  test::make_pipe(folder.path() / "trace/layer1.0.conv1.weight.npy");
  EXPECT_EQ(run(folder, images + "--trace trace --trace-step 0"), 2);
  EXPECT_EQ(folder.read("log.txt"),
            found + "mlsim-train: error: trace/layer1.0.conv1.weight.npy: cannot be written: it is no regular file\n");
}

TEST(Train, IsQuietAndTellsItsVersion) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  for (const char* const quiet : {"--quiet", "-q"}) {
    EXPECT_EQ(run(folder, std::string("--recipe recipe.json --epochs 1 --metrics m.jsonl ") + quiet), 0);
    EXPECT_EQ(folder.read("out.txt"), "");
    EXPECT_EQ(folder.read("log.txt"), "");
    EXPECT_EQ(metrics_of(folder, "m.jsonl").size(), 1U);
  }
  ASSERT_EQ(run(folder, "--version"), 0);
  const std::string version = folder.read("out.txt");
  ASSERT_EQ(run(folder, "-V"), 0);
  EXPECT_EQ(folder.read("out.txt"), version);
}

TEST(Train, MakesTheFoldersOfItsOutputs) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  ASSERT_EQ(run(folder, "--recipe recipe.json --epochs 1 --metrics a/b/m.jsonl --checkpoint c/d.pt"), 0)
      << folder.read("log.txt");
  EXPECT_EQ(metrics_of(folder, "a/b/m.jsonl").size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "c/d.pt"));
  EXPECT_EQ(run(folder, "--recipe recipe.json --epochs 1 --metrics recipe.json/m.jsonl"), 2);
}

TEST(PlotCurves, DrawsAPointForASingleEpoch) {
  if (std::system("command -v gnuplot >/dev/null") != 0) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder;
  folder.write("one.jsonl", "{\"epoch\": 1, \"test_accuracy\": 0.5}\n");
  folder.write("two.jsonl", "{\"epoch\": 1, \"test_accuracy\": 0.4}\n{\"epoch\": 2, \"test_accuracy\": 0.6}\n");
  const std::string start = "cd '" + folder.path().string() + "' && '" MLSIM_SOURCE_DIR "/trainer/plot-curves' ";
  const auto points = [&](const std::string& arguments) {
    EXPECT_EQ(std::system((start + arguments + " 2>log.txt").c_str()), 0) << folder.read("log.txt");
    EXPECT_EQ(folder.read("log.txt"), "");
    const std::string svg = folder.read("plot.svg");
    std::size_t count = 0;
    // Of each point and of its key.
    for (std::size_t at = svg.find("<use xlink:href='#gpPt6'"); at != std::string::npos;
         at = svg.find("<use xlink:href='#gpPt6'", at + 1)) {
      ++count;
    }
    return count;
  };
  EXPECT_EQ(points("plot.svg two.jsonl"), 0U);
  EXPECT_EQ(points("plot.svg one.jsonl"), 2U);
  EXPECT_EQ(points("plot.svg two.jsonl one.jsonl"), 2U);
}

TEST(Train, ChecksItsData) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path() / "im", 2, 4, 2, 40);
  folder.write("im/train/class0/._image0.png", "left by another system");
  folder.write("im/train/class0/notes.txt", "not an image");
  std::filesystem::create_directories(folder.path() / "im/train/.ipynb_checkpoints");
  const std::string check = "--dataset images --data im --check-data";
  const std::string found =
      "mlsim-train: im: has 8 images of 2 classes to train on and 4 to test on; passed over: 2 hidden files and "
      "folders, "
      "1 file of another kind\n";
  EXPECT_EQ(run(folder, check), 0);
  EXPECT_EQ(folder.read("log.txt"), found);
  EXPECT_EQ(folder.read("out.txt"), "12 of 12 images can be read\n");
  folder.write("im/train/class1/image3.jpg", "no picture");
  folder.write("im/val/class0/image1.jpg", "");
  EXPECT_EQ(run(folder, check), 2);
  EXPECT_EQ(folder.read("log.txt"),
            found +
                "mlsim-train: error: im/train/class1/image3.jpg: Not a JPEG file: starts with 0x6e 0x6f, expected a "
                "whole JPEG or PNG image\n"
                "mlsim-train: error: im/val/class0/image1.jpg: Empty input file, expected a whole JPEG or PNG image\n");
  EXPECT_EQ(folder.read("out.txt"), "10 of 12 images can be read\n");
  test::write_mnist(folder.path(), 40, 20);
  EXPECT_EQ(run(folder, "--dataset mnist --data . --check-data"), 0);
  EXPECT_EQ(folder.read("out.txt"), "60 of 60 images can be read\n");
}

TEST(Train, WritesEqualCheckpointsInEqualRuns) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  std::string first;
  // What is chance, as addresses are, is told apart by a few runs.
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(run(folder, "--recipe recipe.json --steps 3 --checkpoint c.pt"), 0) << folder.read("log.txt");
    if (i == 0) first = folder.read("c.pt");
    EXPECT_TRUE(folder.read("c.pt") == first);
  }
}

TEST(Train, EndsAfterASignalWithACheckpoint) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  const std::string command = "cd '" + folder.path().string() +
                              "'; '" MLSIM_TRAIN
                              "' --threads 1 --recipe recipe.json --epochs 1000000 --metrics m.jsonl --checkpoint c.pt "
                              "> out.txt 2> log.txt & pid=$!; while ! [ -s '" +
                              folder.path().string() +
                              "/m.jsonl' ]; do kill -0 $pid || exit 1; sleep 0.1; done; kill -TERM $pid; wait $pid";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 130);
  EXPECT_THAT(folder.read("log.txt"),
              testing::MatchesRegex("mlsim-train: interrupted after step [0-9]+, go on with --resume c.pt\n"));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "c.pt"));
}

TEST(Train, TellsItsVersion) {
  const TemporaryFolder folder;
  EXPECT_EQ(run(folder, "--version"), 0);
  EXPECT_THAT(folder.read("out.txt"), testing::MatchesRegex("mlsim-train [0-9.]+\n"));
}

TEST(Train, LowersTheLearningRateAtMilestones) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", R"({"model": "resnet8", "dataset": "mnist", "data": ".", "batch": 10, "epochs": 4,
    "learning-rate": 0.05, "schedule": "step", "milestones": "1,3"})");
  ASSERT_EQ(run(folder, "--recipe recipe.json --save-recipe saved.json --metrics m.jsonl"), 0)
      << folder.read("log.txt");
  std::vector<double> rates;
  for (const nlohmann::json& line : metrics_of(folder, "m.jsonl")) rates.push_back(line["learning_rate"]);
  EXPECT_THAT(
      rates, testing::ElementsAre(0.05, testing::DoubleEq(0.005), testing::DoubleEq(0.005), testing::DoubleEq(0.0005)));
  EXPECT_THAT(folder.read("saved.json"), testing::HasSubstr("\"milestones\": \"1,3\""));
  // Left out with the schedule that they belong to.
  EXPECT_EQ(run(folder, "--recipe recipe.json --schedule cosine --steps 1"), 0) << folder.read("log.txt");
}

TEST(Train, RefusesWithASentence) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  const auto error = [&](const std::string& arguments) {
    EXPECT_EQ(run(folder, arguments), 2) << arguments;
    return folder.read("log.txt");
  };
  EXPECT_EQ(error("--recipe recipe.json --model vgg16-bn"),
            "mlsim-train: error: --model vgg16-bn: the images are 28×28 pixels, expected at least 32×32\n");
  EXPECT_EQ(error("--recipe recipe.json --epochs 2000000000"),
            "mlsim-train: error: --epochs 2000000000: makes 8000000000 steps, expected at most 2147483647\n");
  EXPECT_EQ(error("--recipe recipe.json --warmup-epochs 2000000000 --save-recipe saved.json"),
            "mlsim-train: error: --warmup-epochs 2000000000: makes 8000000000 steps, expected at most 2147483647\n");
  EXPECT_THAT(error("--recipe recipe.json --float-layers none,such --save-recipe saved.json"),
              testing::HasSubstr("--float-layers: 'none'"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "saved.json"));
}

TEST(Train, LeavesTheOldCheckpointWhereTheDiskIsFull) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  folder.write("c.pt", "old");
  // Files of 100 KiB at most, as a full disk has it: a write fails.
  const std::string limited = "trap '' XFSZ; ulimit -c 0; ulimit -f 100; ";
  EXPECT_EQ(run(folder, "--recipe recipe.json --epochs 1 --checkpoint c.pt", limited), 2);
  EXPECT_EQ(folder.read("log.txt"), "mlsim-train: error: c.pt: cannot be written: File too large\n");
  EXPECT_EQ(folder.read("c.pt"), "old");
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_THAT(entry.path().string(), testing::Not(testing::HasSubstr("part")));
  }
}

TEST(Train, SaysThatNothingIsLeftToTrain) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  ASSERT_EQ(run(folder, "--recipe recipe.json --checkpoint c.pt"), 0) << folder.read("log.txt");
  EXPECT_EQ(run(folder, "--recipe recipe.json --resume c.pt"), 0);
  EXPECT_EQ(folder.read("out.txt"), "c.pt: has all 8 steps of the run, nothing is left to train\n");
}

TEST(Train, RefusesWithoutAStandardErrorToo) {
  const TemporaryFolder folder;
  test::write_mnist(folder.path(), 40, 20);
  folder.write("recipe.json", kRecipe);
  const auto status = [&](const std::string& rest) {
    const int result =
        std::system(("cd '" + folder.path().string() + "' && '" MLSIM_TRAIN "' --threads 1 " + rest).c_str());
    return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
  };
  EXPECT_EQ(status("--batch 0 > out.txt 2> /dev/full"), 2);
  EXPECT_EQ(status("--batch 0 > out.txt 2>&-"), 2);
  // Files do not get the numbers of streams that are closed, and the run is made; its lines are lost.
  EXPECT_EQ(status("--recipe recipe.json --steps 1 --metrics m.jsonl --checkpoint c.pt <&- >&- 2>&-"), 2);
  EXPECT_EQ(metrics_of(folder, "m.jsonl").size(), 1U);
  EXPECT_EQ(run(folder, "--recipe recipe.json --steps 1 --resume c.pt"), 0) << folder.read("log.txt");
}

TEST(Train, RefusesAStandardOutputThatCannotBeWritten) {
  const TemporaryFolder folder;
  EXPECT_EQ(WEXITSTATUS(std::system(
                ("'" MLSIM_TRAIN "' --help > /dev/full 2> '" + (folder.path() / "log.txt").string() + "'").c_str())),
            2);
  EXPECT_EQ(folder.read("log.txt"), "mlsim-train: error: standard output cannot be written\n");
}

}  // namespace
}  // namespace mlsim::trainer
