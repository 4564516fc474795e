#include "trainer/training.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <tuple>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/synthetic_images.h"
#include "tests/trainer/written_images.h"
#include "trainer/data/image_folder.h"
#include "trainer/metrics.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::Operand;
using models::Pass;
using models::Rounding;
using test::error_of;
using test::small_data;
using test::synthetic_images;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

// ResNet-8 on small_data(): two epochs of three steps.
TrainingRun small_run() {
  TrainingRun run;
  run.recipe.model = Model::kResNet8;
  run.recipe.batch = 8;
  run.recipe.steps = 6;
  run.recipe.seed = 11;
  for (const Operand operand : models::kOperands) {
    run.recipe.quantization[operand].format = models::parse_scaled_format("e2m4");
  }
  return run;
}

// What an epoch reports that does not depend on the clock.
std::vector<double> figures(const EpochReport& report) {
  return {static_cast<double>(report.epoch),
          static_cast<double>(report.steps_done),
          report.learning_rate,
          report.train_loss,
          report.train_accuracy,
          report.test_loss,
          report.test_accuracy};
}

TEST(Training, FollowsTheSchedule) {
  Recipe recipe;
  recipe.steps = 100;
  recipe.learning_rate = 0.2;
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 0), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 50), 0.1);
  EXPECT_LT(learning_rate_at(recipe, 99), 1e-3);
  recipe.schedule = Schedule::kStep;
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 49), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 50), 0.02);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 75), 0.002);
  recipe.milestones = {30, 31, 90};
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 29), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 30), 0.02);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 31), 0.002);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 89), 0.002);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 90), 0.0002);
  recipe.warmup_steps = 10;
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 0), 0.02);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 8), 0.18);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 9), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(recipe, 10), 0.2);
}

TEST(Training, WritesATraceThatLoadsAsAWorkload) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.recipe.quantization[Operand::kWeight].format = models::parse_scaled_format("e2m1/g8m0/n");
  run.recipe.quantization[Operand::kActivation].format = models::parse_scaled_format("e1m3/c");
  run.recipe.quantization.random_bits = 12;
  run.trace = TraceRequest{.step = 4, .folder = folder.path() / "trace", .samples = 3, .layers = {}};
  EXPECT_FALSE(train(data, run).stopped);

  const workloads::Workload workload = workloads::load_workload(folder.path() / "trace" / "workload.json");
  EXPECT_EQ(workload.name, "resnet8-cifar10");
  EXPECT_EQ(workload.seed, 11U);
  EXPECT_EQ(workload.step, 4U);
  EXPECT_EQ(workload.random_bits, 12);
  std::vector<std::string> names;
  for (const workloads::Layer& layer : workload.layers) {
    names.push_back(layer.name);
    EXPECT_THAT(layer.passes, ElementsAre(Pass::kForward, Pass::kBackwardData, Pass::kBackwardWeight));
    EXPECT_EQ(layer.shape.batch, 3);
    EXPECT_EQ(to_string(layer.operand(Operand::kActivation).format), "e1m3/g8m1/c");
    EXPECT_EQ(to_string(layer.operand(Operand::kWeight).format), "e2m1/g8m0/n");
    EXPECT_EQ(to_string(layer.operand(Operand::kError).format), "e2m4/g8m1/nc");
    EXPECT_EQ(layer.operand(Operand::kActivation).rounding, Rounding::kNearest);
    EXPECT_EQ(layer.operand(Operand::kWeight).rounding, Rounding::kNearest);
    EXPECT_EQ(layer.operand(Operand::kError).rounding, Rounding::kStochastic);
    for (const Operand operand : models::kOperands) {
      const models::Tensor<float> values = workloads::load_operand(layer, operand);
      EXPECT_THAT(values.values, testing::Contains(testing::Ne(0.0F))) << layer.name << " " << to_string(operand);
    }
  }
  EXPECT_THAT(names, ElementsAre("layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2",
                                 "layer3.0.conv1", "layer3.0.conv2"));
  EXPECT_THAT(workload.layers[2].shape.stride, ElementsAre(2, 2));
  EXPECT_THAT(workload.layers[2].shape.error_shape(), ElementsAre(3, 32, 16, 16));
}

TEST(Training, TracesChosenLayersWithoutChangingTheRun) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  std::vector<std::vector<double>> plain;
  TrainingRun run = small_run();
  run.on_epoch = [&](const EpochReport& report) { plain.push_back(figures(report)); };
  train(data, run);
  ASSERT_EQ(plain.size(), 2U);

  std::vector<std::vector<double>> traced;
  run.on_epoch = [&](const EpochReport& report) { traced.push_back(figures(report)); };
  run.trace =
      TraceRequest{.step = 0, .folder = folder.path(), .samples = 1, .layers = {"layer3.0.conv1", "layer1.0.conv2"}};
  train(data, run);
  EXPECT_EQ(traced, plain);
  const workloads::Workload workload = workloads::load_workload(folder.path() / "workload.json");
  ASSERT_EQ(workload.layers.size(), 2U);
  EXPECT_EQ(workload.layers[0].name, "layer1.0.conv2");
  EXPECT_EQ(workload.layers[1].name, "layer3.0.conv1");
  EXPECT_EQ(to_string(workload.layers[0].operand(Operand::kError).format), "e2m4/g8m1/nc");
}

void expect_to_go_on_to_the_same_figures(const Dataset& data) {
  const TemporaryFolder folder;
  std::vector<std::vector<double>> whole;
  TrainingRun run = small_run();
  run.checkpoint = folder.path() / "whole.pt";
  run.on_epoch = [&](const EpochReport& report) { whole.push_back(figures(report)); };
  train(data, run);

  std::vector<std::vector<double>> parts;
  run.on_epoch = [&](const EpochReport& report) { parts.push_back(figures(report)); };
  run.checkpoint = folder.path() / "checkpoint.pt";
  std::atomic<bool> stop{false};
  run.stop = &stop;
  run.on_step = [&](const StepReport& report) { stop = report.steps_done == 4; };
  const TrainingResult first = train(data, run);
  EXPECT_TRUE(first.stopped);
  EXPECT_EQ(first.steps_done, 4U);
  run.resume = run.checkpoint;
  run.on_step = nullptr;
  stop = false;
  const TrainingResult second = train(data, run);
  EXPECT_FALSE(second.stopped);
  EXPECT_EQ(second.steps_done, 6U);
  EXPECT_EQ(parts, whole);
  EXPECT_TRUE(folder.read("checkpoint.pt") == folder.read("whole.pt"));
}

TEST(Training, GoesOnFromACheckpointToTheSameFigures) {
  expect_to_go_on_to_the_same_figures(small_data());
}

TEST(Training, GoesOnWithImagesOfAFolderToTheSameFigures) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 3, 8, 4, 40);
  expect_to_go_on_to_the_same_figures(ImageFolder(folder.path(), 16));
}

// Data whose test images ask training to stop, the first time.
class StoppingData : public Dataset {
 public:
  StoppingData(const Dataset& data, std::atomic<bool>& stop) : data_(data), stop_(stop) {}
  const std::string& name() const override { return data_.name(); }
  const DataShape& shape() const override { return data_.shape(); }
  std::size_t train_size() const override { return data_.train_size(); }
  std::size_t test_size() const override { return data_.test_size(); }
  std::uint64_t fingerprint() const override { return data_.fingerprint(); }
  Batch training_batch(const TrainingOrder& order, std::size_t first, std::size_t count) const override {
    return data_.training_batch(order, first, count);
  }
  Batch test_batch(std::size_t first, std::size_t count) const override {
    if (!asked_.exchange(true)) stop_ = true;
    return data_.test_batch(first, count);
  }

 private:
  const Dataset& data_;
  std::atomic<bool>& stop_;
  mutable std::atomic<bool> asked_{false};
};

TEST(Training, StopsInEvaluationAndTellsOfTheEpochLater) {
  const TemporaryFolder folder;
  const MemoryDataset data("cifar10", {synthetic_images(24, 1), synthetic_images(550, 2)}, Augmentation{});
  TrainingRun run = small_run();
  run.recipe.steps = 5;
  std::vector<std::vector<double>> whole;
  run.on_epoch = [&](const EpochReport& report) { whole.push_back(figures(report)); };
  train(data, run);
  ASSERT_EQ(whole.size(), 2U);

  std::vector<std::vector<double>> parts;
  run.on_epoch = [&](const EpochReport& report) { parts.push_back(figures(report)); };
  std::atomic<bool> stop{false};
  run.stop = &stop;
  run.checkpoint = folder.path() / "checkpoint.pt";
  for (const std::uint64_t steps : {3, 5}) {
    const TrainingResult result = train(StoppingData(data, stop), run);
    EXPECT_TRUE(result.stopped);
    EXPECT_EQ(result.steps_done, steps);
    EXPECT_EQ(parts.size(), steps == 3 ? 0U : 1U);
    run.resume = run.checkpoint;
    stop = false;
    if (steps == 3) {
      // Evaluation first, then the last two steps.
      run.on_step = [&](const StepReport& report) { stop = report.steps_done == 4; };
      EXPECT_TRUE(train(data, run).stopped);
      run.on_step = nullptr;
      stop = false;
    }
  }
  EXPECT_FALSE(train(data, run).stopped);
  EXPECT_EQ(parts, whole);
  // A run that has ended has nothing left to tell.
  train(data, run);
  EXPECT_EQ(parts, whole);
}

TEST(Training, TakesShapeAndClassesFromTheData) {
  const DataShape shape{.channels = 1, .side = 28, .classes = 4};
  const TemporaryFolder folder;
  const MemoryDataset data("mnist", {synthetic_images(64, 1, shape), synthetic_images(32, 2, shape)}, {2, false});
  TrainingRun run = small_run();
  run.recipe.batch = 16;
  run.recipe.steps = 12;
  run.recipe.learning_rate = 0.05;
  run.trace = TraceRequest{.step = 0, .folder = folder.path(), .samples = 1, .layers = {"layer1.0.conv1"}};
  double accuracy = 0;
  run.on_epoch = [&](const EpochReport& report) { accuracy = report.test_accuracy; };
  train(data, run);
  // Chance is 0.25.
  EXPECT_GT(accuracy, 0.5);
  const workloads::Workload workload = workloads::load_workload(folder.path() / "workload.json");
  EXPECT_EQ(workload.name, "resnet8-mnist");
  EXPECT_THAT(workload.layers[0].shape.in_size, ElementsAre(28, 28));
}

TEST(Training, NamesAnImageThatCannotBeRead) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path(), 3, 8, 4, 40);
  const ImageFolder data(folder.path(), 16);
  const std::filesystem::path broken = folder.write("train/class1/image5.jpg", "no picture");
  EXPECT_EQ(error_of([&] { train(data, small_run()); }),
            broken.string() + ": Not a JPEG file: starts with 0x6e 0x6f, expected a whole JPEG or PNG image");
}

// A run of one step, which is done and has left checkpoint.pt.
TrainingRun trained_a_step(const Dataset& data, const TemporaryFolder& folder) {
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  run.checkpoint = folder.path() / "checkpoint.pt";
  train(data, run);
  return run;
}

TEST(Training, RefusesACheckpointThatDoesNotFit) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = trained_a_step(data, folder);
  run.resume = run.checkpoint;
  run.recipe.seed = 12;
  EXPECT_EQ(error_of([&] { train(data, run); }), run.resume.string() + ": was made with seed 11, this run has 12");
  run.resume = folder.write("text.pt", "no checkpoint");
  EXPECT_EQ(error_of([&] { train(data, run); }),
            run.resume.string() + ": cannot be read, expected a checkpoint of mlsim-train");
  run.resume = folder.path();
  EXPECT_EQ(error_of([&] { train(data, run); }),
            folder.path().string() + ": is a folder, expected a checkpoint of mlsim-train");
  run.resume.clear();
  run.checkpoint = folder.path() / "none" / "checkpoint.pt";
  EXPECT_THAT(error_of([&] { train(data, run); }), HasSubstr(run.checkpoint.string()));
}

TEST(Training, RefusesACheckpointOfOtherClasses) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path() / "three", 3, 8, 4, 40);
  test::write_image_folder(folder.path() / "four", 4, 8, 4, 40);
  TrainingRun run = trained_a_step(ImageFolder(folder.path() / "three", 16), folder);
  run.resume = run.checkpoint;
  EXPECT_EQ(error_of([&] { train(ImageFolder(folder.path() / "four", 16), run); }),
            run.resume.string() + ": was made with classes 3, this run has 4");
}

TEST(Training, RefusesACheckpointOfOtherData) {
  const TemporaryFolder folder;
  test::write_image_folder(folder.path() / "im", 2, 8, 4, 40);
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  run.checkpoint = folder.path() / "checkpoint.pt";
  train(ImageFolder(folder.path() / "im", 16), run);
  run.recipe.steps = 1;
  run.resume = run.checkpoint;
  run.checkpoint.clear();
  const auto error = [&] { return error_of([&] { train(ImageFolder(folder.path() / "im", 16), run); }); };
  const std::string expected =
      run.resume.string() + ": was made with other images than those of --data, expected the same ones";
  EXPECT_EQ(error(), "nothing was thrown");
  const std::filesystem::path image = folder.path() / "im/val/class1/image3.jpg";
  std::filesystem::rename(image, folder.path() / "im/val/class0/image4.jpg");
  EXPECT_EQ(error(), expected);
  std::filesystem::rename(folder.path() / "im/val/class0/image4.jpg", image);
  EXPECT_EQ(error(), "nothing was thrown");
  // A byte of an image, as many as before.
  std::string bytes = folder.read("im/val/class1/image3.jpg");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  folder.write("im/val/class1/image3.jpg", bytes);
  EXPECT_EQ(error(), expected);

  const MemoryDataset data("cifar10", {synthetic_images(24, 1), synthetic_images(20, 2)}, Augmentation{});
  const MemoryDataset other("cifar10", {synthetic_images(24, 1), synthetic_images(20, 3)}, Augmentation{});
  run.checkpoint = folder.path() / "memory.pt";
  run.resume.clear();
  train(data, run);
  run.resume = run.checkpoint;
  EXPECT_EQ(error_of([&] { train(data, run); }), "nothing was thrown");
  EXPECT_THAT(error_of([&] { train(other, run); }), HasSubstr("was made with other images"));
}

TEST(Training, BeginsWithTheWeightsOfACheckpoint) {
  const TemporaryFolder folder;
  const MemoryDataset data("cifar10", {synthetic_images(24, 1), synthetic_images(20, 2)}, Augmentation{});
  TrainingRun run = small_run();
  run.recipe.steps = 30;
  run.checkpoint = folder.path() / "first.pt";
  std::vector<std::vector<double>> first;
  run.on_epoch = [&](const EpochReport& report) { first.push_back(figures(report)); };
  train(data, run);
  ASSERT_FALSE(first.empty());
  // Without learning the network stays, and with it what it makes of the test images; schedule, seed, formats and
  // training images are others.
  TrainingRun second = run;
  second.weights = run.checkpoint;
  second.checkpoint.clear();
  second.recipe.learning_rate = 0;
  second.recipe.weight_decay = 0;
  second.recipe.momentum = 0;
  second.recipe.seed = run.recipe.seed + 1;
  second.recipe.steps = 1;
  std::vector<double> losses;
  second.on_epoch = [&](const EpochReport& report) { losses.push_back(report.train_loss); };
  train(data, second);
  second.weights.clear();
  train(data, second);
  ASSERT_EQ(losses.size(), 2U);
  // A trained network knows the images that it was trained on.
  EXPECT_LT(losses[0], losses[1]);
  second.weights = run.checkpoint;
  train(data, second);
  ASSERT_EQ(losses.size(), 3U);
  EXPECT_EQ(losses[2], losses[0]);
}

TEST(Training, RefusesWeightsOfAnotherNetwork) {
  const TemporaryFolder folder;
  const MemoryDataset data("cifar10", {synthetic_images(24, 1), synthetic_images(20, 2)}, Augmentation{});
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  run.checkpoint = folder.path() / "checkpoint.pt";
  train(data, run);
  run.weights = run.checkpoint;
  run.checkpoint.clear();
  TrainingRun other = run;
  other.recipe.model = run.recipe.model == Model::kResNet8 ? Model::kResNet20 : Model::kResNet8;
  EXPECT_EQ(error_of([&] { train(data, other); }), run.weights.string() + ": is of a network with model \"" +
                                                       to_string(run.recipe.model) + "\", this run has \"" +
                                                       to_string(other.recipe.model) + "\"");
  test::write_image_folder(folder.path() / "im", 3, 8, 4, 40);
  EXPECT_THAT(error_of([&] { train(ImageFolder(folder.path() / "im", 16), run); }),
              HasSubstr(": is of a network with classes 10, this run has 3"));
  ImageSet gray = synthetic_images(24, 1);
  gray.shape.channels = 1;
  gray.pixels.resize(gray.size() * gray.shape.image());
  const MemoryDataset digits("mnist", {gray, gray}, Augmentation{});
  EXPECT_THAT(error_of([&] { train(digits, run); }), HasSubstr(": is of a network for other images, whose conv1"));
  run.weights = folder.write("text.pt", "no checkpoint");
  EXPECT_EQ(error_of([&] { train(data, run); }),
            run.weights.string() + ": cannot be read, expected a checkpoint of mlsim-train");
}

TEST(Training, RefusesADamagedCheckpoint) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = trained_a_step(data, folder);
  const std::string whole = folder.read("checkpoint.pt");
  run.checkpoint.clear();
  run.resume = folder.path() / "damaged.pt";
  for (const std::size_t place : {whole.size() / 2, whole.size() / 4 * 3, whole.size() - 2}) {
    std::string damaged = whole;
    for (std::size_t i = place; i < std::min(place + 50, whole.size()); ++i) damaged[i] ^= 0x55;
    folder.write("damaged.pt", damaged);
    EXPECT_EQ(error_of([&] { train(data, run); }),
              run.resume.string() + ": is damaged, its checksum is not that of its bytes");
  }
  // Half a file has none.
  folder.write("damaged.pt", std::string_view(whole).substr(0, whole.size() / 2));
  EXPECT_EQ(error_of([&] { train(data, run); }),
            run.resume.string() + ": cannot be read, expected a checkpoint of mlsim-train");
}

TEST(Training, TakesCheckpointsThatHaveNoChecksum) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = trained_a_step(data, folder);
  const std::string whole = folder.read("checkpoint.pt");
  const std::size_t archive = whole.rfind("\nmlsim-train CRC-32 ");
  ASSERT_NE(archive, std::string::npos);
  run.resume = folder.write("older.pt", std::string_view(whole).substr(0, archive));
  EXPECT_EQ(train(data, run).steps_before, 1U);
}

// libtorch reads the archive itself, and where there is no checksum nothing stands before it.
TEST(Training, RefusesShortenedCheckpointsThatHaveNoChecksum) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = trained_a_step(data, folder);
  const std::string checkpoint = folder.read("checkpoint.pt");
  const std::size_t whole = checkpoint.rfind("\nmlsim-train CRC-32 ");
  run.checkpoint.clear();
  constexpr std::size_t kLengths = 40;
  for (std::size_t i = 0; i < kLengths; ++i) {
    const std::filesystem::path file = folder.write("short.pt", checkpoint.substr(0, whole * i / kLengths));
    (i % 2 == 0 ? run.resume : run.weights) = file;
    (i % 2 == 0 ? run.weights : run.resume).clear();
    const std::string error = error_of([&] { train(data, run); });
    EXPECT_TRUE(error.starts_with(file.string() + ": ")) << i << ": " << error;
  }
}

TEST(Training, ComparesTheLayersThatStayFloatAsASet) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = trained_a_step(data, folder);
  run.resume = run.checkpoint;
  run.recipe.float_layers = {"conv1"};
  const TrainingResult again = train(data, run);
  EXPECT_EQ(again.steps_before, 1U);
  EXPECT_EQ(again.steps_done, 1U);
  run.recipe.float_layers = {"layer3.0.conv2", "conv1"};
  EXPECT_EQ(error_of([&] { train(data, run); }),
            run.resume.string() + ": was made with float-layers \"first\", this run has \"layer3.0.conv2,conv1\"");

  run.resume.clear();
  train(data, run);
  run.resume = run.checkpoint;
  run.recipe.float_layers = {"conv1", "layer3.0.conv2"};
  EXPECT_EQ(train(data, run).steps_before, 1U);
}

TEST(Training, StartsOnceEverythingIsChecked) {
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  int starts = 0;
  run.on_start = [&] { ++starts; };
  run.on_step = [&](const StepReport&) { EXPECT_EQ(starts, 1); };
  run.recipe.float_layers = {"none of them"};
  EXPECT_THAT(error_of([&] { train(data, run); }), HasSubstr("--float-layers: 'none of them'"));
  EXPECT_EQ(starts, 0);
  run.recipe.float_layers.reset();
  train(data, run);
  EXPECT_EQ(starts, 1);
}

TEST(Training, RefusesABatchNormOverOneValue) {
  const DataShape small{.channels = 3, .side = 8, .classes = 10};
  const MemoryDataset data("images", {synthetic_images(4, 1, small), synthetic_images(4, 2, small)}, Augmentation{});
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  run.recipe.learning_rate = 1e-6;
  for (const auto& [model, batch, trained] : {std::tuple{Model::kResNet8, 1, true},
                                              {Model::kResNet18, 1, false},
                                              {Model::kResNet18ImageNet, 1, false},
                                              {Model::kResNet18ImageNet, 2, true}}) {
    run.recipe.model = model;
    run.recipe.batch = static_cast<std::uint64_t>(batch);
    EXPECT_EQ(error_of([&] { train(data, run); }),
              trained ? "nothing was thrown"
                      : "--batch 1: leaves one value of a channel to the last batch norm of " + to_string(model) +
                            " on images of 8×8 pixels, expected more images or larger ones");
  }
}

TEST(Training, SaysWhatLibtorchRefuses) {
  ImageSet images = synthetic_images(24, 1);
  images.shape.classes = 2;  // which its labels exceed
  const MemoryDataset data("images", {images, images}, Augmentation{});
  const TrainingRun run = small_run();
  const std::string error = error_of([&] { train(data, run); });
  EXPECT_THAT(error, testing::StartsWith("libtorch: "));
  EXPECT_THAT(error, testing::Not(HasSubstr("\n")));
}

TEST(Training, RefusesAFolderWithFilesOfAnotherTrace) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.recipe.steps = 1;
  run.trace = TraceRequest{.step = 0, .folder = folder.path() / "trace", .samples = 8, .layers = {"layer1.0.conv1"}};
  train(data, run);
  folder.write("trace/README.md", "no tensor");
  EXPECT_EQ(error_of([&] { train(data, run); }), "nothing was thrown");
  const auto refusal_of = [&](const std::string& file) {
    const std::string place = run.trace->folder.string();
    return "--trace " + place + ": " + place + "/" + file + " is of another trace, expected a new or an empty folder";
  };
  run.trace->samples = 7;
  EXPECT_THAT(error_of([&] { train(data, run); }),
              testing::AnyOf(refusal_of("results/layer1.0.conv1.forward.npy"),
                             refusal_of("results/layer1.0.conv1.backward_data.npy"),
                             refusal_of("results/layer1.0.conv1.backward_weight.npy")));
  std::filesystem::remove_all(run.trace->folder / "results");
  EXPECT_EQ(error_of([&] { train(data, run); }), "nothing was thrown");
  run.trace->layers = {"layer1.0.conv2"};
  EXPECT_THAT(error_of([&] { train(data, run); }),
              testing::AnyOf(refusal_of("layer1.0.conv1.activation.npy"), refusal_of("layer1.0.conv1.weight.npy"),
                             refusal_of("layer1.0.conv1.error.npy")));
}

TEST(Training, RefusesATraceThatCannotBeMade) {
  const TemporaryFolder folder;
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.trace = TraceRequest{.step = 6, .folder = folder.path() / "trace", .samples = 1, .layers = {}};
  EXPECT_EQ(error_of([&] { train(data, run); }), "--trace-step 6: is no step of this run, expected 0 to 5");
  run.trace->step = 0;
  run.trace->layers = {"conv1"};
  EXPECT_THAT(error_of([&] { train(data, run); }),
              HasSubstr("--trace-layers: 'conv1' is no quantized layer, expected some of layer1.0.conv1, "));
  run.trace->layers.clear();
  run.recipe.quantization[Operand::kError].format = models::BaselineFormat::kBf16;
  EXPECT_EQ(error_of([&] { train(data, run); }),
            "--trace: a workload cannot mix block-scaled and floating-point operands, expected one kind for all three");
  run.recipe.quantization[Operand::kError].format = models::parse_scaled_format("e2m4");
  run.trace->folder = folder.write("file", "") / "trace";
  EXPECT_THAT(error_of([&] { train(data, run); }), HasSubstr(run.trace->folder.string()));
}

TEST(Training, SaysThatItDiverged) {
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.recipe.learning_rate = 1e30;
  EXPECT_THAT(error_of([&] { train(data, run); }),
              testing::AnyOf(HasSubstr("training diverged"), HasSubstr("expected a finite number")));
}

TEST(Training, RefusesABatchLargerThanTheData) {
  const MemoryDataset data = small_data();
  TrainingRun run = small_run();
  run.recipe.batch = 25;
  EXPECT_EQ(error_of([&] { train(data, run); }), "a batch of 25 images is larger than the training set of 24");
}

}  // namespace
}  // namespace mlsim::trainer
