#include "workloads/trainer/options.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/support/temporary_folder.h"

namespace mlsim::trainer {
namespace {

using models::Operand;
using models::Rounding;
using testing::ElementsAre;
using testing::HasSubstr;

Options parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "mlsim-train");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

std::string error_with(const std::vector<const char*>& arguments) {
  return test::error_of([&] { parse(arguments); });
}

TEST(TrainerOptions, HaveTheDefaultsOfTheManual) {
  const Options options = parse({});
  const Recipe& recipe = options.run.recipe;
  for (const Operand operand : models::kOperands) {
    EXPECT_EQ(recipe.quantization[operand].format, models::parse_format("e2m1"));
  }
  EXPECT_EQ(recipe.quantization[Operand::kActivation].rounding, Rounding::kNearest);
  EXPECT_EQ(recipe.quantization[Operand::kWeight].rounding, Rounding::kNearest);
  EXPECT_EQ(recipe.quantization[Operand::kError].rounding, Rounding::kStochastic);
  EXPECT_EQ(recipe.quantization.random_bits, 16);
  EXPECT_EQ(recipe.model, Model::kResNet20);
  EXPECT_EQ(options.epochs, 60U);
  EXPECT_EQ(recipe.batch, 128U);
  EXPECT_EQ(recipe.learning_rate, 0.1);
  EXPECT_EQ(recipe.momentum, 0.9);
  EXPECT_EQ(recipe.weight_decay, 5e-4);
  EXPECT_EQ(recipe.schedule, Schedule::kCosine);
  EXPECT_EQ(options.data, "data/cifar-10-batches-bin");
  EXPECT_FALSE(options.run.trace);
}

TEST(TrainerOptions, SetFormatsAndRoundingByOperand) {
  const Options options = parse({"--format", "e2m4", "--error-format", "fp32", "--weight-format=e1m2/g8m0/n",
                                 "--rounding", "stochastic", "--weight-rounding", "nearest"});
  const Quantization& quantization = options.run.recipe.quantization;
  EXPECT_EQ(quantization[Operand::kActivation].format, models::parse_format("e2m4"));
  EXPECT_EQ(quantization[Operand::kWeight].format, models::parse_format("e1m2/g8m0/n"));
  EXPECT_EQ(quantization[Operand::kError].format, models::Format(models::BaselineFormat::kFp32));
  EXPECT_EQ(quantization[Operand::kActivation].rounding, Rounding::kStochastic);
  EXPECT_EQ(quantization[Operand::kWeight].rounding, Rounding::kNearest);
  EXPECT_EQ(quantization[Operand::kError].rounding, Rounding::kStochastic);
}

TEST(TrainerOptions, NameTheModel) {
  for (const Model model : kModels) {
    EXPECT_EQ(parse({"--model", to_string(model).c_str()}).run.recipe.model, model);
  }
  EXPECT_EQ(error_with({"--model", "resnet"}),
            "--model: model 'resnet' is unknown, expected one of resnet8, resnet20, resnet18, resnet18-imagenet, "
            "vgg16-bn");
}

TEST(TrainerOptions, TakeBaselineFormats) {
  const auto formats = [](const std::vector<const char*>& arguments) {
    const Quantization quantization = parse(arguments).run.recipe.quantization;
    std::vector<std::string> names;
    for (const Operand operand : models::kOperands) names.push_back(to_string(quantization[operand].format));
    return names;
  };
  for (const char* const format : {"fp32", "bf16", "fp16", "int8", "fp8-e4m3", "fp8-e5m2"}) {
    EXPECT_THAT(formats({"--format", format}), ElementsAre(format, format, format));
  }
  EXPECT_THAT(formats({"--format", "fp8"}), ElementsAre("fp8-e4m3", "fp8-e4m3", "fp8-e5m2"));
  EXPECT_THAT(formats({"--format", "e2m1", "--error-format", "fp8", "--weight-format", "int8"}),
              ElementsAre("e2m1/g8m1/nc", "int8", "fp8-e5m2"));
  EXPECT_THAT(formats({"--activation-format", "fp8"}), ElementsAre("fp8-e4m3", "e2m1/g8m1/nc", "e2m1/g8m1/nc"));
}

TEST(TrainerOptions, NameTheData) {
  EXPECT_EQ(parse({}).dataset, DatasetKind::kCifar10);
  EXPECT_EQ(parse({"--dataset", "mnist"}).data, "data/mnist");
  EXPECT_EQ(parse({"--dataset", "mnist", "--data", "there"}).data, "there");
  const Options images = parse({"--dataset", "images", "--data", "there"});
  EXPECT_EQ(images.dataset, DatasetKind::kImages);
  EXPECT_EQ(images.image_size, 224U);
  EXPECT_EQ(parse({"--dataset", "images", "--data", "there", "--image-size", "64"}).image_size, 64U);
  EXPECT_EQ(error_with({"--dataset", "cifar"}),
            "--dataset: data set 'cifar' is unknown, expected one of cifar10, mnist, images");
  EXPECT_EQ(error_with({"--dataset", "images"}), "--dataset images: expected --data FOLDER beside it");
  EXPECT_EQ(error_with({"--image-size", "64"}), "--image-size: expected only beside --dataset images");
  EXPECT_EQ(error_with({"--dataset", "images", "--data", "there", "--image-size", "7"}),
            "--image-size 7: expected a whole number from 8 on");
}

TEST(TrainerOptions, AskForATrace) {
  const Options options = parse({"--steps", "7", "--trace-step", "6", "--trace", "out", "--trace-samples", "3",
                                 "--trace-layers", "layer1.0.conv1,layer3.2.conv2"});
  EXPECT_EQ(options.run.recipe.steps, 7U);
  ASSERT_TRUE(options.run.trace);
  EXPECT_EQ(options.run.trace->step, 6U);
  EXPECT_EQ(options.run.trace->folder, "out");
  EXPECT_EQ(options.run.trace->samples, 3);
  EXPECT_THAT(options.run.trace->layers, ElementsAre("layer1.0.conv1", "layer3.2.conv2"));
}

TEST(TrainerOptions, AreRefusedWithASentence) {
  EXPECT_THAT(error_with({"--format", "fp9"}), HasSubstr("--format: format 'fp9'"));
  EXPECT_THAT(error_with({"--error-format", "e9m1"}), HasSubstr("--error-format: "));
  EXPECT_EQ(error_with({"--rounding", "up"}), "--rounding: rounding 'up' is neither nearest nor stochastic");
  EXPECT_EQ(error_with({"--batch", "-1"}), "--batch -1: expected a whole number from 1 on");
  EXPECT_EQ(error_with({"--steps", "0"}), "--steps 0: expected a whole number from 1 on");
  EXPECT_EQ(error_with({"--steps", "99999999999999999999"}),
            "--steps 99999999999999999999: expected a whole number from 1 on");
  EXPECT_EQ(error_with({"--steps", "2147483648"}), "--steps 2147483648: expected at most 2147483647");
  EXPECT_EQ(error_with({"--epochs", "2147483648"}), "--epochs 2147483648: expected at most 2147483647");
  EXPECT_EQ(error_with({"--steps", "5", "--epochs", "5"}), "--epochs and --steps: expected one of them");
  EXPECT_EQ(error_with({"--learning-rate", "-0.5"}), "--learning-rate -0.5: expected a number from 0 on");
  EXPECT_EQ(error_with({"--schedule", "linear"}), "--schedule linear: expected cosine or step");
  EXPECT_EQ(error_with({"--random-bits", "25"}), "--random-bits 25: expected 1 to 24");
  EXPECT_EQ(error_with({"--threads", "0"}), "--threads 0: expected 1 or more");
  EXPECT_EQ(error_with({"--trace", "out"}), "--trace FOLDER and --trace-step N: expected both or neither");
  EXPECT_EQ(error_with({"--trace-samples", "2"}),
            "--trace-layers and --trace-samples: expected only beside --trace FOLDER");
  EXPECT_EQ(error_with({"--trace", "out", "--trace-step", "0", "--trace-samples", "129"}),
            "--trace-samples 129: expected at most the batch of 128");
  EXPECT_THAT(error_with({"--form", "e2m1"}), HasSubstr("unrecognised option"));
  EXPECT_THAT(error_with({"e2m1"}), HasSubstr("too many positional options"));
}

}  // namespace
}  // namespace mlsim::trainer
