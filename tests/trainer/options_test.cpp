#include "trainer/options.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <vector>

#include "tests/support/pages.h"
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
  EXPECT_TRUE(parse({"--help"}).help);
  EXPECT_TRUE(parse({"-h"}).help);
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
            "--model: is 'resnet', expected resnet8, resnet20, resnet18, resnet18-imagenet or vgg16-bn");
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

TEST(TrainerOptions, TakeEveryBlockScaledFormat) {
  const auto formats = [](const std::vector<const char*>& arguments) {
    const Quantization quantization = parse(arguments).run.recipe.quantization;
    std::vector<std::string> names;
    for (const Operand operand : models::kOperands) names.push_back(to_string(quantization[operand].format));
    return names;
  };
  EXPECT_THAT(formats({"--format", "mxfp4"}), ElementsAre("mxfp4/k32", "mxfp4/k32", "mxfp4/k32"));
  EXPECT_THAT(formats({"--format", "mxfp8"}), ElementsAre("mxfp8-e4m3/k32", "mxfp8-e4m3/k32", "mxfp8-e5m2/k32"));
  EXPECT_THAT(formats({"--format", "nvfp4", "--weight-format", "nvfp4/t16x16x1x1", "--error-format", "e2m1/fit/b16"}),
              ElementsAre("nvfp4/k16", "nvfp4/t16x16x1x1", "e2m1/g8m1/b16"));
  EXPECT_THAT(formats({"--format", "e2m1", "--error-format", "mxfp8/even/b32"}),
              ElementsAre("e2m1/g8m1/nc", "e2m1/g8m1/nc", "mxfp8-e5m2/even/b32"));
  EXPECT_THAT(error_with({"--format", "mxfp5"}), HasSubstr("--format: "));
  EXPECT_THAT(error_with({"--weight-format", "nvfp4/floor"}), HasSubstr("--weight-format: "));
  const test::TemporaryFolder folder;
  const std::string file =
      folder.write("r.json", R"({"format": "nvfp4", "weight-format": "nvfp4/t16x16x1x1", "batch": 64.0})");
  EXPECT_EQ(parse({"--recipe", file.c_str()}).run.recipe.batch, 64U);
  EXPECT_THAT(formats({"--recipe", file.c_str()}), ElementsAre("nvfp4/k16", "nvfp4/t16x16x1x1", "nvfp4/k16"));
  EXPECT_THAT(formats({"--recipe", file.c_str(), "--format", "mxfp8"}),
              ElementsAre("mxfp8-e4m3/k32", "mxfp8-e4m3/k32", "mxfp8-e5m2/k32"));
}

TEST(TrainerOptions, QuantizeTheLinearLayer) {
  EXPECT_FALSE(parse({}).run.recipe.quantize_linear);
  EXPECT_TRUE(parse({"--quantize-linear"}).run.recipe.quantize_linear);
  const test::TemporaryFolder folder;
  const auto with = [&](const std::string& value) {
    const std::string file = folder.write("r.json", "{\"quantize-linear\": " + value + "}");
    return parse({"--recipe", file.c_str()}).run.recipe.quantize_linear;
  };
  EXPECT_TRUE(with("true"));
  EXPECT_FALSE(with("false"));
  EXPECT_THAT(test::error_of([&] { with("1"); }), HasSubstr("/quantize-linear: is neither true nor false"));
  const std::string saved = (folder.path() / "saved.json").string();
  EXPECT_THAT(parse({"--quantize-linear", "--save-recipe", saved.c_str()}).recipe_text,
              HasSubstr("\"quantize-linear\": true"));
  EXPECT_THAT(parse({"--save-recipe", saved.c_str()}).recipe_text, testing::Not(HasSubstr("quantize-linear")));
}

TEST(TrainerOptions, NameTheData) {
  EXPECT_EQ(parse({}).dataset, DatasetKind::kCifar10);
  EXPECT_EQ(parse({"--dataset", "mnist"}).data, "data/mnist");
  EXPECT_EQ(parse({"--dataset", "mnist", "--data", "there"}).data, "there");
  const Options images = parse({"--dataset", "images", "--data", "there"});
  EXPECT_EQ(images.dataset, DatasetKind::kImages);
  EXPECT_EQ(images.image_size, 224U);
  EXPECT_EQ(parse({"--dataset", "images", "--data", "there", "--image-size", "64"}).image_size, 64U);
  EXPECT_EQ(error_with({"--dataset", "cifar"}), "--dataset: is 'cifar', expected cifar10, mnist or images");
  EXPECT_EQ(error_with({"--dataset", "images"}), "--dataset images: expected --data FOLDER beside it");
  EXPECT_EQ(error_with({"--image-size", "64"}), "--image-size: expected only beside --dataset images");
  EXPECT_EQ(error_with({"--dataset", "images", "--data", "there", "--image-size", "7"}),
            "--image-size: is '7', expected a whole number from 8 to 4096");
  EXPECT_EQ(error_with({"--dataset", "images", "--data", "there", "--image-size", "4097"}),
            "--image-size: is '4097', expected a whole number from 8 to 4096");
  EXPECT_EQ(error_with({"--data", ""}), "--data: is empty, expected a name");
  EXPECT_EQ(error_with({"--dataset", "images", "--data", ""}), "--data: is empty, expected a name");
}

TEST(TrainerOptions, NameMilestones) {
  EXPECT_TRUE(parse({"--schedule", "step"}).milestones.empty());
  EXPECT_THAT(parse({"--schedule", "step", "--milestones", "30,60,80"}).milestones, testing::ElementsAre(30, 60, 80));
}

TEST(TrainerOptions, ChooseTheArithmetic) {
  EXPECT_EQ(parse({}).run.recipe.quantization.arithmetic, Arithmetic::kDequantized);
  const Quantization exact =
      parse({"--arithmetic", "exact", "--accumulator-bits", "13", "--overflow", "wrap"}).run.recipe.quantization;
  EXPECT_EQ(exact.arithmetic, Arithmetic::kExact);
  EXPECT_EQ(exact.accumulator.bits, 13);
  EXPECT_EQ(exact.accumulator.overflow, models::Overflow::kWrap);
  EXPECT_EQ(parse({"--arithmetic", "exact"}).run.recipe.quantization.accumulator.bits, 0);
  EXPECT_EQ(error_with({"--arithmetic", "float"}), "--arithmetic: is 'float', expected dequantized or exact");
  EXPECT_EQ(error_with({"--accumulator-bits", "13"}), "--accumulator-bits: expected only beside --arithmetic exact");
  EXPECT_EQ(exact.accumulator.taps_per_cycle, 1);
  EXPECT_EQ(
      parse({"--arithmetic", "exact", "--taps-per-cycle", "8"}).run.recipe.quantization.accumulator.taps_per_cycle, 8);
  EXPECT_EQ(error_with({"--taps-per-cycle", "8"}), "--taps-per-cycle: expected only beside --arithmetic exact");
  EXPECT_EQ(error_with({"--overflow", "wrap"}), "--overflow: expected only beside --arithmetic exact");
  EXPECT_EQ(error_with({"--arithmetic", "exact", "--accumulator-bits", "65"}),
            "--accumulator-bits: is '65', expected a whole number from 2 to 64");
  EXPECT_EQ(error_with({"--arithmetic", "exact", "--overflow", "trap"}),
            "--overflow: is 'trap', expected saturate or wrap");
}

TEST(TrainerOptions, ChooseLayersThatStayFloat) {
  using Layers = std::optional<std::vector<std::string>>;
  EXPECT_EQ(parse({}).run.recipe.float_layers, std::nullopt);
  EXPECT_EQ(parse({"--float-layers", "first"}).run.recipe.float_layers, std::nullopt);
  EXPECT_EQ(parse({"--float-layers", "none"}).run.recipe.float_layers, Layers(std::in_place));
  EXPECT_EQ(parse({"--float-layers", "conv1,layer3.2.conv2"}).run.recipe.float_layers,
            (Layers{{"conv1", "layer3.2.conv2"}}));
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

TEST(TrainerOptions, ComeFromARecipeToo) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("r.json", R"({"model": "resnet8", "format": "e2m4", "batch": 64, "epochs": 7,
    "learning-rate": 0.25, "weight-decay": 1e-4, "threads": 3, "seed": "12", "warmup-epochs": 2})");
  const Options options = parse({"--recipe", file.c_str()});
  EXPECT_EQ(options.run.recipe.model, Model::kResNet8);
  EXPECT_EQ(to_string(options.run.recipe.quantization[Operand::kError].format), "e2m4/g8m1/nc");
  EXPECT_EQ(options.run.recipe.batch, 64U);
  EXPECT_EQ(options.epochs, 7U);
  EXPECT_EQ(options.warmup_epochs, 2U);
  EXPECT_EQ(options.run.recipe.learning_rate, 0.25);
  EXPECT_EQ(options.run.recipe.weight_decay, 1e-4);
  EXPECT_EQ(options.run.recipe.momentum, 0.9);
  EXPECT_EQ(options.run.threads, 3);
  EXPECT_EQ(options.run.recipe.seed, 12U);

  // The command line wins, even with a value that is the default.
  const Options mixed = parse({"--recipe", file.c_str(), "--batch", "128", "--steps", "5", "--learning-rate=0.1"});
  EXPECT_EQ(mixed.run.recipe.batch, 128U);
  EXPECT_EQ(mixed.run.recipe.learning_rate, 0.1);
  EXPECT_EQ(mixed.run.recipe.steps, 5U);
  EXPECT_EQ(mixed.epochs, 0U);
  EXPECT_EQ(mixed.run.recipe.model, Model::kResNet8);
}

TEST(TrainerOptions, RefuseARecipeByFileKeyAndExpectation) {
  const test::TemporaryFolder folder;
  const auto error_of_recipe = [&](const std::string& text) {
    const std::string file = folder.write("r.json", text);
    const std::string error = error_with({"--recipe", file.c_str()});
    EXPECT_TRUE(error.starts_with(file + ": ")) << error;
    return error.substr(std::min(file.size() + 2, error.size()));
  };
  EXPECT_THAT(error_of_recipe("{"), HasSubstr("line 1"));
  EXPECT_EQ(error_of_recipe("[1]"), "is no JSON object, expected options and values");
  EXPECT_THAT(error_of_recipe(R"({"batch": 1, "batch": 2})"), HasSubstr("batch"));
  EXPECT_THAT(error_of_recipe(R"({"bach": 1})"),
              testing::AllOf(HasSubstr("/bach: is no option that a recipe can have, expected some of format, "),
                             HasSubstr(", batch, ")));
  EXPECT_THAT(error_of_recipe(R"({"metrics": "m.jsonl"})"), HasSubstr("/metrics: is no option"));
  for (const std::string key : {"", "e", "-batch"}) {
    EXPECT_THAT(error_of_recipe("{\"" + key + "\": 1}"), testing::StartsWith("/" + key + ": is no option"));
  }
  EXPECT_EQ(error_of_recipe(R"({"batch": [1]})"),
            "/batch: is neither a string nor a number, expected a value of --batch");
  EXPECT_EQ(error_of_recipe(R"({"batch": -1})"), "/batch: is '-1', expected a whole number from 1 to 1048576");
  EXPECT_EQ(error_of_recipe(R"({"schedule": "linear"})"), "/schedule: is 'linear', expected cosine or step");
  EXPECT_EQ(error_of_recipe(R"({"threads": 1.5})"), "/threads: is '1.5', expected a whole number from 1 to 1024");
  EXPECT_EQ(error_of_recipe(R"({"threads": 1025})"), "/threads: is '1025', expected a whole number from 1 to 1024");
  EXPECT_EQ(error_of_recipe(R"({"momentum": "a lot"})"), "/momentum: is 'a lot', expected a number from 0 to 1");
  EXPECT_EQ(error_of_recipe(R"({"steps": 5, "epochs": 5})"), "--epochs and --steps: expected one of them");
  EXPECT_THAT(error_with({"--recipe", "none.json"}), HasSubstr("none.json: "));
}

TEST(TrainerOptions, OverrideWhatARecipeHasForEachOperand) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("r.json", R"({"format": "e2m4", "error-format": "fp8", "rounding": "stochastic",
    "weight-rounding": "stochastic"})");
  const Quantization all =
      parse({"--recipe", file.c_str(), "--format", "e2m1", "--rounding", "nearest"}).run.recipe.quantization;
  const Quantization one = parse({"--recipe", file.c_str(), "--weight-format", "e2m1", "--error-rounding", "nearest"})
                               .run.recipe.quantization;
  for (const Operand operand : models::kOperands) {
    EXPECT_EQ(to_string(all[operand].format), "e2m1/g8m1/nc");
    EXPECT_EQ(all[operand].rounding, Rounding::kNearest);
  }
  EXPECT_EQ(to_string(one[Operand::kActivation].format), "e2m4/g8m1/nc");
  EXPECT_EQ(to_string(one[Operand::kWeight].format), "e2m1/g8m1/nc");
  EXPECT_EQ(to_string(one[Operand::kError].format), "fp8-e5m2");
  EXPECT_EQ(one[Operand::kWeight].rounding, Rounding::kStochastic);
  EXPECT_EQ(one[Operand::kError].rounding, Rounding::kNearest);
}

TEST(TrainerOptions, GoTogetherOnceTheRecipeIsAdded) {
  const test::TemporaryFolder folder;
  const std::string bits = folder.write("bits.json", R"({"accumulator-bits": 14, "overflow": "wrap"})");
  EXPECT_EQ(parse({"--recipe", bits.c_str(), "--arithmetic", "exact"}).run.recipe.quantization.accumulator.bits, 14);
  EXPECT_EQ(error_with({"--recipe", bits.c_str()}),
            bits + ": --accumulator-bits: expected only beside --arithmetic exact");

  const std::string exact = folder.write("exact.json", R"({"arithmetic": "exact", "accumulator-bits": 14})");
  const Options dequantized =
      parse({"--recipe", exact.c_str(), "--arithmetic", "dequantized", "--save-recipe", "saved.json"});
  EXPECT_EQ(dequantized.run.recipe.quantization.arithmetic, Arithmetic::kDequantized);
  EXPECT_EQ(dequantized.run.recipe.quantization.accumulator.bits, 0);
  EXPECT_THAT(dequantized.recipe_text, testing::Not(HasSubstr("accumulator-bits")));
  EXPECT_EQ(error_with({"--recipe", exact.c_str(), "--arithmetic", "dequantized", "--overflow", "wrap"}),
            "--overflow: expected only beside --arithmetic exact");

  const std::string images = folder.write("images.json", R"({"dataset": "images", "data": "there", "image-size": 64})");
  EXPECT_EQ(parse({"--recipe", images.c_str()}).image_size, 64U);
  const Options cifar10 = parse({"--recipe", images.c_str(), "--dataset", "cifar10"});
  EXPECT_EQ(cifar10.dataset, DatasetKind::kCifar10);
  EXPECT_EQ(cifar10.data, "data/cifar-10-batches-bin");
  EXPECT_EQ(cifar10.image_size, 0U);
  EXPECT_EQ(parse({"--recipe", images.c_str(), "--dataset", "images"}).data, "there");
  const std::string place = folder.write("place.json", R"({"data": "there"})");
  EXPECT_EQ(parse({"--recipe", place.c_str(), "--dataset", "mnist"}).data, "there");

  const std::string lengths = folder.write("lengths.json", R"({"epochs": 5, "steps": 6})");
  EXPECT_EQ(error_with({"--recipe", lengths.c_str()}), lengths + ": --epochs and --steps: expected one of them");
}

TEST(TrainerOptions, NameAFileForEachOutput) {
  EXPECT_EQ(error_with({"--metrics", "F", "--checkpoint", "./F"}),
            "--metrics and --checkpoint ./F: are one file, expected two");
  EXPECT_EQ(error_with({"--save-recipe", "F", "--metrics", "F"}),
            "--save-recipe and --metrics F: are one file, expected two");
  EXPECT_EQ(error_with({"--resume", "F", "--metrics", "F"}), "--metrics and --resume F: are one file, expected two");
  EXPECT_EQ(parse({"--resume", "F", "--checkpoint", "F", "--metrics", "G"}).run.resume, "F");
  EXPECT_EQ(parse({"--weights", "F", "--checkpoint", "G"}).run.weights, "F");
  EXPECT_EQ(error_with({"--weights", "F", "--checkpoint", "F"}),
            "--checkpoint and --weights F: are one file, expected two");
  EXPECT_THAT(error_with({"--weights", "F", "--resume", "G"}),
              HasSubstr("--resume and --weights: expected one of them"));
  EXPECT_TRUE(parse({"--check-data"}).check_data);
  EXPECT_EQ(parse({"--checkpoint", "/dev/null", "--metrics", "/dev/null"}).metrics, "/dev/null");
  const test::TemporaryFolder folder;
  const std::string file = folder.write("r.json", "{}");
  EXPECT_EQ(parse({"--recipe", file.c_str(), "--save-recipe", file.c_str()}).save_recipe, file);
  EXPECT_EQ(error_with({"--recipe", file.c_str(), "--metrics", file.c_str()}),
            "--recipe and --metrics " + file + ": are one file, expected two");
  EXPECT_EQ(error_with({"--metrics", ""}), "--metrics: is empty, expected a name");
}

TEST(TrainerOptions, TakeNamesThatAreNoUtf8) {
  EXPECT_EQ(parse({"--data", "x\xFF"}).data, "x\xFF");
  EXPECT_EQ(error_with({"--data", "x\xFF", "--save-recipe", "saved.json"}),
            "--save-recipe: JSON has no way to write --data x\xFF, which is no UTF-8");
}

TEST(TrainerOptions, SaveARecipeThatGivesThemAgain) {
  const test::TemporaryFolder folder;
  const Options options = parse({"--format", "e2m4", "--error-format", "fp8", "--batch", "32", "--learning-rate",
                                 "0.05", "--seed", "18446744073709551615", "--dataset", "images", "--data", "0012",
                                 "--metrics", "m.jsonl", "--save-recipe", "saved.json"});
  EXPECT_EQ(options.save_recipe, "saved.json");
  const std::string file = folder.write("saved.json", options.recipe_text);
  const Options again = parse({"--recipe", file.c_str(), "--save-recipe", "again.json"});
  EXPECT_EQ(again.recipe_text, options.recipe_text);
  EXPECT_EQ(again.run.recipe.seed, 18446744073709551615U);
  EXPECT_EQ(again.data, "0012");
  EXPECT_EQ(again.epochs, 60U);
  EXPECT_EQ(to_string(again.run.recipe.quantization[Operand::kError].format), "fp8-e5m2");
  EXPECT_THAT(options.recipe_text, HasSubstr("\"learning-rate\": 0.05,"));
  EXPECT_THAT(options.recipe_text, HasSubstr("\"epochs\": 60,"));
  EXPECT_THAT(options.recipe_text, testing::Not(HasSubstr("metrics")));
}

// Files are called MODEL-DATASET-FORMAT.json.
TEST(TrainerOptions, ReadTheRecipesThatAreThere) {
  const std::filesystem::path folder = std::filesystem::path(MLSIM_SOURCE_DIR) / "trainer" / "recipes";
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem();
    SCOPED_TRACE(name);
    names.push_back(name);
    const Options options = parse({"--recipe", entry.path().c_str(), "--data", "somewhere"});
    const Recipe& recipe = options.run.recipe;
    std::string data = to_string(options.dataset);
    if (options.dataset == DatasetKind::kImages) data = "imagenet";
    // resnet18-imagenet names its data itself.
    const std::string model = to_string(recipe.model);
    const std::string beginning = model.ends_with(data) ? model : model + "-" + data;
    std::string format = to_string(recipe.quantization[Operand::kWeight].format);
    format = format.substr(0, format.find('/'));
    EXPECT_EQ(name, beginning + "-" + format);
    EXPECT_GE(options.epochs, 10U);
  }
  EXPECT_THAT(names,
              testing::UnorderedElementsAre("resnet20-cifar10-fp32", "resnet20-cifar10-e2m1", "resnet20-cifar10-e2m4",
                                            "resnet18-cifar10-fp32", "resnet18-cifar10-e2m4", "resnet18-imagenet-e2m4",
                                            "vgg16-bn-cifar10-e2m4", "resnet8-mnist-e2m1"));
}

TEST(TrainerOptions, AreInTheManualAndInTheCompletion) {
  const std::string page = base::man_page(trainer_program());
  EXPECT_THAT(page, testing::StartsWith(".TH MLSIM\\-TRAIN 1 "));
  test::expect_options(trainer_program().itself, test::part_of(page, ".SH OPTIONS\n", ".SH "),
                       base::bash_completion(trainer_program()));
}

TEST(TrainerOptions, AreCompletedInBash) {
  const test::TemporaryFolder folder;
  const std::string completion = base::bash_completion(trainer_program());
  folder.write("a b.json", "");
  std::filesystem::create_directory(folder.path() / "c d");
  const auto offered = [&](const std::string& words) {
    return test::completed(folder, "mlsim-train", completion, words);
  };
  EXPECT_EQ(offered("--trace-s"), "--trace-step\n--trace-samples\n");
  EXPECT_EQ(offered("--seed 1 --model resnet2"), "resnet20\n");
  EXPECT_EQ(offered("--schedule c"), "cosine\n");
  EXPECT_EQ(offered("--recipe a"), "a b.json\n");
  EXPECT_EQ(offered("--data c"), "c d\n");
  EXPECT_EQ(offered("--data a"), "\n") << "no folder";
  EXPECT_EQ(offered("--seed c"), "\n") << "a number has no completion";
}

TEST(TrainerOptions, AreRefusedWithASentence) {
  EXPECT_THAT(error_with({"--format", "fp9"}), HasSubstr("--format: format 'fp9'"));
  EXPECT_THAT(error_with({"--error-format", "e9m1"}), HasSubstr("--error-format: "));
  EXPECT_EQ(error_with({"--rounding", "up"}), "--rounding: is 'up', expected nearest or stochastic");
  EXPECT_EQ(error_with({"--batch", "-1"}), "--batch: is '-1', expected a whole number from 1 to 1048576");
  EXPECT_EQ(error_with({"--steps", "0"}), "--steps: is '0', expected a whole number from 1 to 2147483647");
  EXPECT_EQ(error_with({"--steps", "99999999999999999999"}),
            "--steps: is '99999999999999999999', expected a whole number from 1 to 2147483647");
  for (const std::string option : {"--steps", "--epochs"}) {
    EXPECT_EQ(error_with({option.c_str(), "2147483648"}),
              option + ": is '2147483648', expected a whole number from 1 to 2147483647");
  }
  EXPECT_EQ(error_with({"--warmup-epochs", "2147483648"}),
            "--warmup-epochs: is '2147483648', expected a whole number from 0 to 2147483647");
  EXPECT_EQ(error_with({"--steps", "5", "--epochs", "5"}), "--epochs and --steps: expected one of them");
  for (const std::string text : {"-0.5", "nan", "inf", "-inf", "1e999", "1001", "0.1x", "0x1"}) {
    EXPECT_EQ(error_with({("--learning-rate=" + text).c_str()}),
              "--learning-rate: is '" + text + "', expected a number from 0 to 1000");
  }
  EXPECT_EQ(error_with({"--momentum", "1.5"}), "--momentum: is '1.5', expected a number from 0 to 1");
  EXPECT_EQ(error_with({"--weight-decay", "1e30"}), "--weight-decay: is '1e30', expected a number from 0 to 1");
  EXPECT_EQ(error_with({"--batch", "1000000000000000000"}),
            "--batch: is '1000000000000000000', expected a whole number from 1 to 1048576");
  EXPECT_EQ(error_with({"--trace", "out", "--trace-step", "18446744073709551615"}),
            "--trace-step: is '18446744073709551615', expected a whole number from 0 to 2147483646");
  EXPECT_EQ(error_with({"--trace", "out", "--trace-step", "0", "--trace-samples", "18446744073709551615"}),
            "--trace-samples: is '18446744073709551615', expected a whole number from 1 to 1048576");
  EXPECT_EQ(error_with({"--schedule", "linear"}), "--schedule: is 'linear', expected cosine or step");
  EXPECT_EQ(error_with({"--milestones", "30"}), "--milestones: expected only beside --schedule step");
  for (const std::string list :
       {"", "0", "30,", ",30", "30,,60", "60,30", "30,30", "30 60", "1.5", "-1", "2147483648"}) {
    EXPECT_EQ(error_with({"--schedule", "step", "--milestones", list.c_str()}),
              "--milestones: is '" + list + "', expected whole numbers from 1 to 2147483647 that rise, a,b,c");
  }
  EXPECT_EQ(error_with({"--random-bits", "25"}), "--random-bits: is '25', expected a whole number from 1 to 24");
  for (const std::string threads : {"0", "1025", "65536"}) {
    EXPECT_EQ(error_with({"--threads", threads.c_str()}),
              "--threads: is '" + threads + "', expected a whole number from 1 to 1024");
  }
  EXPECT_EQ(parse({"--threads", "1024"}).run.threads, 1024);
  EXPECT_EQ(error_with({"--trace", "out"}), "--trace FOLDER and --trace-step N: expected both or neither");
  EXPECT_EQ(error_with({"--trace-samples", "2"}),
            "--trace-layers and --trace-samples: expected only beside --trace FOLDER");
  EXPECT_EQ(error_with({"--trace", "out", "--trace-step", "0", "--trace-samples", "129"}),
            "--trace-samples: is 129, expected at most the batch of 128");
  EXPECT_THAT(error_with({"--form", "e2m1"}), HasSubstr("unrecognised option"));
  EXPECT_THAT(error_with({"e2m1"}), HasSubstr("'e2m1' is one argument too many"));
}

}  // namespace
}  // namespace mlsim::trainer
