#include "workloads/workload.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/input_file.h"
#include "base/json.h"
#include "tests/support/temporary_folder.h"
#include "workloads/embedded_files.h"
#include "workloads/network.h"
#include "workloads/npy.h"

namespace mlsim::workloads {
namespace {

using models::Operand;
using models::Pass;
using nlohmann::json;
using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;

// As docs/workload-format.md introduces the format.
json full_layer() {
  return json::parse(R"({
    "name": "layer1.0.conv1", "type": "conv2d", "batch": 2, "in_channels": 16, "out_channels": 16,
    "in_size": [32, 32], "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "groups": 1,
    "passes": ["forward", "backward_data", "backward_weight"],
    "tensors": {"activation": "a.npy", "weight": "w.npy", "error": "e.npy"}})");
}

json full_workload() {
  json workload = json::parse(R"({
    "schema": "mlsim.workload/1", "name": "two-layers", "seed": 1, "format": "e2m4",
    "rounding": {"activation": "nearest", "weight": "nearest", "error": "stochastic"}})");
  workload["layers"] = json::array({full_layer()});
  return workload;
}

// A layer that is only a shape, with nothing that has a default.
json shape_layer(const std::string& name) {
  return {{"name", name},      {"type", "conv2d"},  {"batch", 1},      {"in_channels", 2},
          {"out_channels", 4}, {"in_size", {5, 6}}, {"kernel", {3, 3}}};
}

json shape_workload() {
  return {{"schema", "mlsim.workload/1"},
          {"name", "shapes"},
          {"seed", 7},
          {"format", "e2m4"},
          {"layers", json::array({shape_layer("one"), shape_layer("two")})}};
}

Workload parse(const json& workload) {
  return parse_workload(workload.dump(), "w.json", "folder");
}

// What is said of the full workload with one thing changed.
std::string error_with(const std::string& pointer, const json& value) {
  json workload = full_workload();
  workload[json::json_pointer(pointer)] = value;
  return error_of([&] { parse(workload); });
}

std::string error_without(const std::string& parent, const std::string& key) {
  json workload = full_workload();
  workload[json::json_pointer(parent)].erase(key);
  return error_of([&] { parse(workload); });
}

const models::ScaledFormat kE2M4{{2, 4}, {8, 1}, models::grouping::kNc};

TEST(ParseWorkload, ReadsTheWholeForm) {
  json source = full_workload();
  source["step"] = 2000;
  source["random_bits"] = 8;
  source["accumulator_bits"] = 20;
  source["overflow"] = "wrap";
  const Workload workload = parse(source);
  EXPECT_EQ(workload.name, "two-layers");
  EXPECT_EQ(workload.seed, 1U);
  EXPECT_EQ(workload.step, 2000U);
  EXPECT_EQ(workload.random_bits, 8);
  EXPECT_EQ(workload.accumulator.bits, 20);
  EXPECT_EQ(workload.accumulator.overflow, models::Overflow::kWrap);
  ASSERT_EQ(workload.layers.size(), 1U);
  const Layer& layer = workload.layers[0];
  EXPECT_EQ(layer.name, "layer1.0.conv1");
  EXPECT_EQ(layer.shape, (models::ConvolutionShape{2, 16, 16, {32, 32}, {3, 3}, {1, 1}, {1, 1}, 1}));
  EXPECT_THAT(layer.passes, ElementsAre(Pass::kForward, Pass::kBackwardData, Pass::kBackwardWeight));
  EXPECT_FALSE(layer.is_shape_only());
  for (const Operand operand : models::kOperands) {
    EXPECT_EQ(layer.operand(operand).format, models::Format(kE2M4));
    EXPECT_TRUE(layer.operand(operand).has_values());
  }
  EXPECT_EQ(layer.operand(Operand::kWeight).rounding, models::Rounding::kNearest);
  EXPECT_EQ(layer.operand(Operand::kError).rounding, models::Rounding::kStochastic);
  EXPECT_EQ(std::get<std::filesystem::path>(layer.operand(Operand::kError).source), "folder/e.npy");
}

TEST(ParseWorkload, HasDefaults) {
  const Workload workload = parse(shape_workload());
  EXPECT_EQ(workload.step, 0U);
  EXPECT_EQ(workload.random_bits, 16);
  EXPECT_EQ(workload.accumulator.bits, 0);
  EXPECT_EQ(workload.accumulator.overflow, models::Overflow::kSaturate);
  const Layer& layer = workload.layers.at(1);
  EXPECT_EQ(layer.shape, (models::ConvolutionShape{1, 2, 4, {5, 6}, {3, 3}, {1, 1}, {0, 0}, 1}));
  EXPECT_THAT(layer.passes, ElementsAre(Pass::kForward, Pass::kBackwardData, Pass::kBackwardWeight));
  EXPECT_TRUE(layer.is_shape_only());
  EXPECT_EQ(layer.operand(Operand::kActivation).rounding, models::Rounding::kNearest);
  EXPECT_EQ(layer.operand(Operand::kWeight).rounding, models::Rounding::kNearest);
  EXPECT_EQ(layer.operand(Operand::kError).rounding, models::Rounding::kStochastic);
}

TEST(ParseWorkload, FormatsComeFromTheLayerThenTheWorkload) {
  json source = shape_workload();
  source["format"] = {{"activation", "e2m1"}, {"weight", "e2m2"}, {"error", "e2m3"}};
  source["layers"][0]["format"] = {{"weight", "e3m2/g8m0/n"}};
  source["layers"][1]["format"] = "fp16";
  const Workload workload = parse(source);
  const auto format = [&](std::size_t layer, Operand operand) {
    return models::to_string(workload.layers[layer].operand(operand).format);
  };
  EXPECT_EQ(format(0, Operand::kActivation), "e2m1/g8m1/nc");
  EXPECT_EQ(format(0, Operand::kWeight), "e3m2/g8m0/n");
  EXPECT_EQ(format(0, Operand::kError), "e2m3/g8m1/nc");
  for (const Operand operand : models::kOperands) EXPECT_EQ(format(1, operand), "fp16");
}

TEST(ParseWorkload, BaselinesMayDifferByOperand) {
  json source = shape_workload();
  source["format"] = {{"activation", "fp8-e4m3"}, {"weight", "fp8-e4m3"}, {"error", "fp8-e5m2"}};
  EXPECT_EQ(parse(source).layers[0].operand(Operand::kError).format, models::Format(models::BaselineFormat::kFp8E5m2));
}

TEST(ParseWorkload, SystemsMix) {
  json source = shape_workload();
  source["format"] = {{"activation", "nvfp4"}, {"weight", "nvfp4/t16x16x1x1"}, {"error", "e2m1/b16"}};
  source["layers"][1]["format"] = "mxfp8/ceil";
  const Workload workload = parse(source);
  const auto format = [&](std::size_t layer, Operand operand) {
    return models::to_string(workload.layers[layer].operand(operand).format);
  };
  EXPECT_EQ(format(0, Operand::kActivation), "nvfp4/k16");
  EXPECT_EQ(format(0, Operand::kWeight), "nvfp4/t16x16x1x1");
  EXPECT_EQ(format(0, Operand::kError), "e2m1/g8m1/b16");
  EXPECT_EQ(format(1, Operand::kWeight), "mxfp8-e4m3/ceil/k32");
  EXPECT_EQ(format(1, Operand::kError), "mxfp8-e5m2/ceil/k32");
}

TEST(ParseWorkload, ReadsDilationAndOneSidedPadding) {
  json source = full_workload();
  source["layers"][0]["dilation"] = {2, 1};
  source["layers"][0]["padding"] = json::array({json::array({0, 2}), 1});
  source["layers"][0]["bias"] = true;
  source["layers"][0]["index"] = 7;
  const Layer layer = parse(source).layers[0];
  EXPECT_EQ(layer.shape.dilation, (std::array<std::int64_t, 2>{2, 1}));
  EXPECT_EQ(layer.shape.padding[0], (models::Padding{0, 2}));
  EXPECT_EQ(layer.shape.padding[1], (models::Padding{1, 1}));
  EXPECT_EQ(layer.shape.out_size(), (std::array<std::int64_t, 2>{30, 32}));
  EXPECT_EQ(layer.index, 7U);
  EXPECT_EQ(quantizer_options(parse(source), 0, Operand::kError).stream, 3U * 7 + 2);
  EXPECT_EQ(error_with("/layers/0/padding", json::array({json::array({0, -1}), 1})),
            "w.json: /layers/0/padding/0/1: is -1, expected an integer from 0 to 1048576");
  EXPECT_EQ(error_with("/layers/0/dilation", {17, 1}),
            "w.json: /layers/0/kernel: is 3 with dilation 17, larger than the padded input of 34");
}

json linear_workload() {
  json source = shape_workload();
  source["layers"] = json::array(
      {{{"name", "fc"}, {"type", "linear"}, {"batch", 3}, {"in_channels", 4}, {"out_channels", 6}, {"groups", 2}}});
  return source;
}

TEST(ParseWorkload, ALinearLayerIsAConvolutionOfSinglePositions) {
  const Layer layer = parse(linear_workload()).layers[0];
  EXPECT_TRUE(layer.linear);
  EXPECT_EQ(layer.shape, (models::ConvolutionShape{3, 4, 6, {1, 1}, {1, 1}, {1, 1}, {}, 2}));
  EXPECT_EQ(file_shape(layer, layer.shape.weight_shape()), (models::Shape{6, 2}));
  json source = linear_workload();
  source["layers"][0]["kernel"] = {1, 1};
  EXPECT_EQ(error_of([&] { parse(source); }), "w.json: /layers/0/kernel: is given, but a linear layer has no image");
}

TEST(ParseWorkload, TensorsOfLinearLayersHaveTwoDimensions) {
  const TemporaryFolder folder;
  write_npy(folder.path() / "a.npy", models::Tensor<float>{{3, 4}, std::vector<float>(12, 1)});
  write_npy(folder.path() / "w.npy", models::Tensor<float>{{6, 2, 1, 1}, std::vector<float>(12, 1)});
  json source = linear_workload();
  source["layers"][0]["tensors"] = {{"activation", "a.npy"}, {"weight", "w.npy"}};
  const Workload workload = parse_workload(source.dump(), "w.json", folder.path());
  EXPECT_EQ(load_operand(workload.layers[0], Operand::kActivation).shape, (models::Shape{3, 4, 1, 1}));
  EXPECT_THAT(error_of([&] { load_operand(workload.layers[0], Operand::kWeight); }),
              testing::HasSubstr("has the shape (6, 2, 1, 1), expected (6, 2) for the weight of layer fc"));
}

TEST(ParseWorkload, RefusesFormats) {
  EXPECT_EQ(
      error_without("", "format"),
      "w.json: /layers/0: no format is given for the activation, expected a format in the layer or in the workload");
  EXPECT_EQ(error_with("/format", {{"activation", "e2m4"}, {"weight", "e2m4"}}),
            "w.json: /layers/0: no format is given for the error, expected a format in the layer or in the workload");
  EXPECT_EQ(error_with("/format", "e9m4"), "w.json: /format: format 'e9m4' has more than 4 element exponent bits");
  EXPECT_EQ(error_with("/layers/0/format", {{"error", "e2m11"}}),
            "w.json: /layers/0/format/error: format 'e2m11' has more than 10 mantissa bits");
  EXPECT_EQ(error_with("/format", "fp9"),
            "w.json: /format: format 'fp9' is neither an MLS format such as e2m4 nor one of mxfp4, mxfp6-e2m3, "
            "mxfp6-e3m2, mxfp8-e4m3, mxfp8-e5m2, mxint8, nvfp4, fp32, fp16, bf16, fp8-e4m3, fp8-e5m2, int8");
  EXPECT_EQ(error_with("/layers/0/format", {{"error", "fp32"}}),
            "w.json: /layers/0/format: mixes block-scaled and baseline formats (e2m4/g8m1/nc, e2m4/g8m1/nc, fp32), "
            "expected all "
            "three operands of one kind");
  const json mixed{{"activation", "int8"}, {"weight", "int8"}, {"error", "fp16"}};
  EXPECT_EQ(error_with("/layers/0/format", mixed),
            "w.json: /layers/0/format: has fp16 for the error and int8 for the weight, which backward_data multiplies, "
            "expected int8 for both or neither");
  EXPECT_EQ(error_with("/format", {{"errors", "e2m4"}}),
            "w.json: /format/errors: is an unknown key, expected one of activation, error, weight");
  EXPECT_EQ(error_with("/format", 4),
            "w.json: /format: is 4, expected a text that is not empty or an object that is not empty");
}

TEST(ParseWorkload, LayersSayWhetherTheyReadThePreviousOne) {
  EXPECT_EQ(error_with("/layers/0/reads_previous", "alone"),
            "w.json: /layers/0/reads_previous: is given, but no layer is before this one");
  EXPECT_THAT(error_with("/layers/0/reads_previous", true), testing::HasSubstr("/layers/0/reads_previous: is true"));
  const auto link = [](const std::string& key, const std::string& outputs = "2") {
    const std::string layer = R"("type": "linear", "batch": 1, "in_channels": 2, "out_channels": )" + outputs;
    return parse_workload(
               R"({"schema": "mlsim.workload/1", "name": "w", "seed": 1, "format": "e2m4", "layers": [{"name": "a", )" +
                   layer + R"(}, {"name": "b", )" + layer + key + "}]}",
               "w.json", ".")
        .layers[1]
        .link;
  };
  EXPECT_EQ(link(""), InputLink::kNone);
  EXPECT_EQ(link(R"(, "reads_previous": "alone")"), InputLink::kAlone);
  EXPECT_EQ(link(R"(, "reads_previous": "shared")"), InputLink::kShared);
  EXPECT_EQ(link("", "3"), InputLink::kNone);
  EXPECT_EQ(
      test::error_of([&] { link(R"(, "reads_previous": "alone")", "3"); }),
      "w.json: /layers/1/reads_previous: is given, but the activation has 2 elements and the output of layer 'a' 3");
}

TEST(ParseWorkload, RefusesUnknownKeysEverywhere) {
  EXPECT_EQ(error_with("/sed", 1),
            "w.json: /sed: is an unknown key, expected one of accumulator_bits, batch, format, layers, name, overflow, "
            "passes, "
            "random_bits, rounding, schema, seed, step, values");
  EXPECT_EQ(error_with("/layers/0/strides", {1, 1}),
            "w.json: /layers/0/strides: is an unknown key, expected one of batch, bias, dilation, format, groups, "
            "in_channels, in_size, index, kernel, name, out_channels, padding, passes, reads_previous, stride, "
            "tensors, type, values");
  EXPECT_EQ(error_with("/layers/0/tensors/bias", "b.npy"),
            "w.json: /layers/0/tensors/bias: is an unknown key, expected one of activation, error, weight");
  EXPECT_EQ(error_with("/rounding/bias", "nearest"),
            "w.json: /rounding/bias: is an unknown key, expected one of activation, error, weight");
  EXPECT_EQ(
      error_with("/values", {{"std", 1}}),
      "w.json: /values/std: is an unknown key, expected one of activation, distribution, error, scale, seed, weight");
}

TEST(ParseWorkload, RefusesMissingKeys) {
  for (const std::string key : {"schema", "name", "seed", "layers"}) {
    EXPECT_EQ(error_without("", key), "w.json: the key \"" + key + "\" is missing");
  }
  for (const std::string key : {"name", "type", "batch", "in_channels", "out_channels", "in_size", "kernel"}) {
    EXPECT_EQ(error_without("/layers/0", key), "w.json: /layers/0: the key \"" + key + "\" is missing");
  }
}

TEST(ParseWorkload, RefusesValuesOutOfRange) {
  EXPECT_EQ(error_with("/schema", "mlsim.workload/2"),
            "w.json: /schema: is \"mlsim.workload/2\", expected \"mlsim.workload/1\"");
  EXPECT_EQ(error_with("/name", ""), "w.json: /name: is \"\", expected a text that is not empty");
  EXPECT_EQ(error_with("/seed", -1), "w.json: /seed: is -1, expected an integer from 0 to 18446744073709551615");
  EXPECT_EQ(error_with("/seed", 1e30), "w.json: /seed: is 1e+30, expected an integer from 0 to 18446744073709551615");
  EXPECT_EQ(error_with("/step", -1), "w.json: /step: is -1, expected an integer from 0 to 4294967295");
  EXPECT_EQ(error_with("/random_bits", 25), "w.json: /random_bits: is 25, expected an integer from 1 to 24");
  EXPECT_EQ(error_with("/accumulator_bits", 65),
            "w.json: /accumulator_bits: is 65, expected an integer from 0 to 64 other than 1");
  EXPECT_EQ(error_with("/accumulator_bits", 1),
            "w.json: /accumulator_bits: is 1, expected an integer from 0 to 64 other than 1");
  EXPECT_EQ(error_with("/overflow", "trap"), "w.json: /overflow: is \"trap\", expected one of \"saturate\", \"wrap\"");
  EXPECT_EQ(error_with("/rounding/error", "up"),
            "w.json: /rounding/error: is \"up\", expected one of \"nearest\", \"stochastic\"");
  EXPECT_EQ(error_with("/layers", json::array()),
            "w.json: /layers: is [], expected a text that is not empty or a list that is not empty, each an object");
  EXPECT_EQ(error_with("/layers/0/type", "pool"),
            "w.json: /layers/0/type: is \"pool\", expected one of \"conv2d\", \"linear\"");
  EXPECT_EQ(error_with("/layers/0/batch", 0), "w.json: /layers/0/batch: is 0, expected an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/in_channels", -16),
            "w.json: /layers/0/in_channels: is -16, expected an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/in_channels", 99999999999999999999.0),
            "w.json: /layers/0/in_channels: is 1e+20, expected an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/in_channels", "16"),
            "w.json: /layers/0/in_channels: is \"16\", expected an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/in_size", {32}),
            "w.json: /layers/0/in_size: is [32], expected a list of 2, each an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/stride", 1),
            "w.json: /layers/0/stride: is 1, expected a list of 2, each an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/stride/1", 0),
            "w.json: /layers/0/stride/1: is 0, expected an integer from 1 to 1048576");
  EXPECT_EQ(error_with("/layers/0/padding/0", -1),
            "w.json: /layers/0/padding/0: is -1, expected an integer from 0 to 1048576 or a list of 2, each an integer "
            "from 0 to 1048576");
  EXPECT_EQ(error_with("/layers/0/passes/1", "backward"),
            "w.json: /layers/0/passes/1: is \"backward\", expected one of \"forward\", \"backward_data\", "
            "\"backward_weight\"");
  EXPECT_EQ(
      error_with("/layers/0/passes", {"forward", "forward"}),
      "w.json: /layers/0/passes: is [\"forward\",\"forward\"], expected a list that is not empty without repetition, "
      "each one of \"forward\", \"backward_data\", \"backward_weight\"");
}

TEST(ParseWorkload, TakesSeedsOf64Bits) {
  json source = shape_workload();
  source["seed"] = 18446744073709551615U;
  EXPECT_EQ(parse(source).seed, 18446744073709551615U);
  source["values"] = {{"seed", 9223372036854775808U}};
  EXPECT_EQ(parse(source).seed, 18446744073709551615U);
}

// As in the published schema, where an integer is a number without a fraction, however it is written.
TEST(ParseWorkload, TakesIntegersHoweverTheyAreWritten) {
  const std::string text = R"({"schema": "mlsim.workload/1", "name": "w", "seed": SEED, "format": "e2m4", "layers": [
    {"name": "a", "type": "conv2d", "batch": BATCH, "in_channels": 4, "out_channels": 4, "in_size": [5.0, 5],
     "kernel": [3, 3e0], "padding": [1.0, [1.0, 0]]}]})";
  const auto with = [&](const std::string& seed, const std::string& batch) {
    std::string filled = text;
    filled.replace(filled.find("SEED"), 4, seed).replace(filled.find("BATCH"), 5, batch);
    return parse_workload(filled, "w.json", "");
  };
  const Workload plain = with("12", "2");
  for (const char* const seed : {"12.0", "1.2e1", "120e-1"}) {
    EXPECT_EQ(with(seed, "2.0").seed, 12U) << seed;
    EXPECT_EQ(with(seed, "2.0").layers[0].shape, plain.layers[0].shape) << seed;
  }
  EXPECT_EQ(with("-0.0", "2").seed, 0U);
  EXPECT_EQ(with("9007199254740992.0", "2").seed, 9007199254740992U);
  const std::string expected = ", expected an integer from 0 to 18446744073709551615";
  for (const auto& [seed, shown] : {std::pair{"18446744073709551616", "1.8446744073709552e+19"},
                                    {"123456789012345678901234567890", "1.2345678901234568e+29"},
                                    {"9007199254740994.0", "9.007199254740994e+15"},
                                    {"-1.0", "-1"},
                                    {"1.5", "1.5"}}) {
    EXPECT_EQ(error_of([&, seed = seed] { with(seed, "2"); }), std::string("w.json: /seed: is ") + shown + expected);
  }
  EXPECT_EQ(error_of([&] { with("1", "18446744073709551615"); }),
            "w.json: /layers/0/batch: is 18446744073709551615, expected an integer from 1 to 1048576");
}

TEST(ParseWorkload, RefusesShapesThatAreNoConvolution) {
  EXPECT_EQ(error_with("/layers/0/kernel", {3, 35}),
            "w.json: /layers/0/kernel: is 35, larger than the padded input of 34");
  EXPECT_EQ(error_with("/layers/0/groups", 3),
            "w.json: /layers/0/groups: is 3, expected a divisor of in_channels 16 and out_channels 16");
  json source = shape_workload();
  source["layers"][1]["batch"] = 1048576;
  source["layers"][1]["in_size"] = {1048576, 1048576};
  EXPECT_EQ(error_of([&] { parse(source); }), "w.json: /layers/1: has more than 2^56 multiply-adds or elements");
}

TEST(ParseWorkload, RefusesNamesThatNameNoFileOfTheirOwn) {
  const std::string reason = " cannot name a file, expected up to 200 bytes without slashes or control characters";
  EXPECT_EQ(error_with("/layers/0/name", "a/b"), "w.json: /layers/0/name: \"a/b\"" + reason);
  EXPECT_EQ(error_with("/layers/0/name", ".."), "w.json: /layers/0/name: \"..\"" + reason);
  EXPECT_EQ(error_with("/layers/0/name", "a\nb"), "w.json: /layers/0/name: \"a\\nb\"" + reason);
  const std::string long_name(201, 'x');
  EXPECT_EQ(error_with("/layers/0/name", long_name), "w.json: /layers/0/name: \"" + long_name + "\"" + reason);
  EXPECT_EQ(error_with("/name", "\x1b[31m"),
            "w.json: /name: \"\\u001b[31m\" has control characters, expected a name without them");
  json source = shape_workload();
  source["layers"][1]["name"] = "one";
  EXPECT_EQ(error_of([&] { parse(source); }), "w.json: /layers/1/name: \"one\" is also the name of /layers/0");
}

TEST(ParseWorkload, PassesFollowFromTheTensors) {
  const auto passes = [](const json& tensors) {
    json source = full_workload();
    source["layers"][0].erase("passes");
    source["layers"][0]["tensors"] = tensors;
    return parse(source).layers[0].passes;
  };
  EXPECT_THAT(passes({{"activation", "a.npy"}, {"weight", "w.npy"}}), ElementsAre(Pass::kForward));
  EXPECT_THAT(passes({{"error", "e.npy"}, {"weight", "w.npy"}}), ElementsAre(Pass::kBackwardData));
  EXPECT_THAT(passes({{"activation", "a.npy"}, {"error", "e.npy"}}), ElementsAre(Pass::kBackwardWeight));
  EXPECT_EQ(error_of([&] {
              passes({{"activation", "a.npy"}});
            }),
            "w.json: /layers/0/tensors: gives both operands of no pass, expected at least two operands");
}

TEST(ParseWorkload, APassNeedsItsOperands) {
  json source = full_workload();
  source["layers"][0]["tensors"].erase("error");
  EXPECT_EQ(error_of([&] { parse(source); }),
            "w.json: /layers/0/passes/1: backward_data needs the error, which /layers/0/tensors does not give");
  source["layers"][0]["passes"] = {"forward"};
  EXPECT_THAT(parse(source).layers[0].passes, ElementsAre(Pass::kForward));
  source["layers"][0].erase("passes");
  source["passes"] = {"backward_weight", "forward"};
  EXPECT_EQ(error_of([&] { parse(source); }),
            "w.json: /passes/0: backward_weight needs the error, which /layers/0/tensors does not give");
}

TEST(ParseWorkload, PassesComeFromTheLayerThenTheWorkload) {
  json source = shape_workload();
  source["passes"] = {"backward_weight", "forward"};
  source["layers"][1]["passes"] = {"backward_data"};
  const Workload workload = parse(source);
  EXPECT_THAT(workload.layers[0].passes, ElementsAre(Pass::kForward, Pass::kBackwardWeight));
  EXPECT_THAT(workload.layers[1].passes, ElementsAre(Pass::kBackwardData));
}

TEST(ParseWorkload, SyntheticValuesHaveDefaultsByOperand) {
  json source = shape_workload();
  source["values"] = json::object();
  const Workload workload = parse(source);
  const auto values = [&](std::size_t layer, Operand operand) {
    return std::get<SyntheticValues>(workload.layers[layer].operand(operand).source);
  };
  EXPECT_EQ(values(0, Operand::kActivation).distribution, Distribution::kReluNormal);
  EXPECT_EQ(values(0, Operand::kActivation).scale, 1.0);
  EXPECT_EQ(values(0, Operand::kWeight).distribution, Distribution::kNormal);
  EXPECT_EQ(values(0, Operand::kWeight).scale, 0.05);
  EXPECT_EQ(values(0, Operand::kError).distribution, Distribution::kNormal);
  EXPECT_EQ(values(0, Operand::kError).scale, 0.001);
  EXPECT_EQ(values(1, Operand::kError).seed, 7U);
  EXPECT_EQ(values(1, Operand::kError).stream, 0x8000000000000000U + 5);
}

TEST(ParseWorkload, SyntheticValuesComeFromTheOperandThenFromAll) {
  json source = shape_workload();
  source["values"] = {
      {"distribution", "uniform"}, {"scale", 3}, {"seed", 11}, {"error", {{"distribution", "laplace"}}}};
  source["layers"][1]["values"] = {{"weight", {{"scale", 0.25}}}};
  const Workload workload = parse(source);
  const auto values = [&](std::size_t layer, Operand operand) {
    return std::get<SyntheticValues>(workload.layers[layer].operand(operand).source);
  };
  EXPECT_EQ(values(0, Operand::kActivation).distribution, Distribution::kUniform);
  EXPECT_EQ(values(0, Operand::kActivation).scale, 3.0);
  EXPECT_EQ(values(0, Operand::kError).distribution, Distribution::kLaplace);
  EXPECT_EQ(values(0, Operand::kError).scale, 3.0);
  EXPECT_EQ(values(0, Operand::kError).seed, 11U);
  // The layer's own values replace those of the workload.
  EXPECT_EQ(values(1, Operand::kWeight).distribution, Distribution::kNormal);
  EXPECT_EQ(values(1, Operand::kWeight).scale, 0.25);
  EXPECT_EQ(values(1, Operand::kWeight).seed, 7U);
}

TEST(ParseWorkload, RefusesSyntheticValues) {
  EXPECT_EQ(error_with("/layers/0/values", json::object()),
            "w.json: /layers/0/values: is given beside tensors, expected one of the two");
  EXPECT_EQ(error_with("/values", {{"scale", 0}}),
            "w.json: /values/scale: is 0, expected a number above 0 and up to 1e+30");
  EXPECT_EQ(
      error_with("/values", {{"weight", {{"distribution", "cauchy"}}}}),
      "w.json: /values/weight/distribution: is \"cauchy\", expected one of \"normal\", \"relu-normal\", \"uniform\", "
      "\"laplace\"");
  json source = shape_workload();
  source["layers"][1]["values"] = {{"seed", -2}};
  EXPECT_EQ(error_of([&] { parse(source); }),
            "w.json: /layers/1/values/seed: is -2, expected an integer from 0 to 18446744073709551615");
}

TEST(ParseWorkload, TensorsStayWhereTheWorkloadHasValues) {
  json source = full_workload();
  source["values"] = json::object();
  const Workload workload = parse(source);
  EXPECT_TRUE(std::holds_alternative<std::filesystem::path>(workload.layers[0].operand(Operand::kWeight).source));
}

TEST(ParseWorkload, TakesTheConvolutionsOfANetwork) {
  json source = shape_workload();
  source["layers"] = "resnet20";
  source["batch"] = 8;
  source["values"] = {{"seed", 3}};
  source["passes"] = {"forward"};
  const Workload workload = parse(source);
  ASSERT_EQ(workload.layers.size(), 18U);  // the first convolution stays in binary32
  EXPECT_EQ(workload.layers[6].name, "layer2.0.conv1");
  EXPECT_EQ(workload.layers[6].shape, (models::ConvolutionShape{8, 16, 32, {32, 32}, {3, 3}, {2, 2}, {1, 1}, 1}));
  EXPECT_EQ(std::get<SyntheticValues>(workload.layers[6].operand(Operand::kWeight).source).stream,
            0x8000000000000000U + 19);
  EXPECT_THAT(workload.layers[6].passes, ElementsAre(Pass::kForward));
}

TEST(ParseWorkload, RefusesNetworks) {
  json source = shape_workload();
  source["batch"] = 2;
  EXPECT_EQ(error_of([&] { parse(source); }),
            "w.json: /batch: is given, but here each layer has its own: expected it only where layers names a network");
  source["layers"] = "resnet19";
  EXPECT_EQ(
      error_of([&] { parse(source); }),
      "w.json: /layers: folder/resnet19: is neither a file nor a shipped network (mobilenetv2, resnet18-3x3-stem, "
      "resnet18, resnet20, resnet34, resnet50, vgg16)");
  source["layers"] = "resnet20";
  source.erase("format");
  EXPECT_EQ(error_of([&] { parse(source); }),
            "w.json: no format is given for the activation, expected a format in the layer or in the workload");
}

TEST(LoadWorkload, FindsANetworkBesideIt) {
  const TemporaryFolder folder;
  json source = shape_workload();
  source["layers"] = "mine.json";
  const std::filesystem::path path = folder.write("w.json", source.dump());
  folder.write("mine.json", embedded_json("networks/vgg16.json").dump());
  EXPECT_EQ(load_workload(path).layers.size(), 12U);
  const std::string network = folder.write("mine.json", "[]").string();
  EXPECT_EQ(error_of([&] { load_workload(path); }),
            path.string() + ": /layers: " + network + ": is [], expected an object");
}

// Every workload and network that docs/workload-format.md shows.
TEST(LoadWorkload, ReadsTheExamplesOfThePage) {
  const std::string page = base::read_text(std::string(MLSIM_SOURCE_DIR) + "/docs/workload-format.md");
  const std::string start = "```json\n";
  int examples = 0;
  for (std::size_t at = page.find(start); at != std::string::npos; at = page.find(start, at)) {
    at += start.size();
    const std::string example = page.substr(at, page.find("```", at) - at);
    if (example.find("mlsim.network/1") != std::string::npos) {
      EXPECT_GT(parse_network(example, "page").layers.size(), 0U);
    } else {
      EXPECT_GT(parse_workload(example, "page", "").layers.size(), 0U);
    }
    ++examples;
  }
  EXPECT_EQ(examples, 5);
}

TEST(ParseWorkload, RefusesEveryTruncation) {
  const std::string text = full_workload().dump();
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_THROW(parse_workload(text.substr(0, length), "w.json", ""), std::runtime_error) << length;
  }
}

TEST(LoadWorkload, RefusesWhatIsMissingOrBroken) {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  EXPECT_EQ(error_of([&] { load_workload(root + "/none.json"); }),
            root + "/none.json: cannot be read: No such file or directory");
  const std::filesystem::path path = folder.write("w.json", "{\"schema\": \"mlsim.workload/1\",\n \"name\" \"x\"}");
  EXPECT_EQ(error_of([&] { load_workload(path); }),
            root + "/w.json: line 2, column 11: is no JSON: unexpected string literal; expected ':'");
}

class LoadOperand : public testing::Test {
 protected:
  Workload load(const json& source) const { return load_workload(folder_.write("w.json", source.dump())); }

  TemporaryFolder folder_;
};

TEST_F(LoadOperand, ReadsTheFile) {
  const Workload workload = load(full_workload());
  models::Tensor<float> weight{{16, 16, 3, 3}, std::vector<float>(16 * 16 * 9, 0.5F)};
  weight.values[100] = -3;
  write_npy(folder_.path() / "w.npy", weight);
  const models::Tensor<float> loaded = load_operand(workload.layers[0], Operand::kWeight);
  EXPECT_EQ(loaded.shape, weight.shape);
  EXPECT_EQ(loaded.values, weight.values);
}

TEST_F(LoadOperand, RefusesAMissingFile) {
  const Workload workload = load(full_workload());
  EXPECT_EQ(error_of([&] { load_operand(workload.layers[0], Operand::kError); }),
            (folder_.path() / "e.npy").string() + ": cannot be read: No such file or directory");
}

TEST_F(LoadOperand, RefusesAnotherShape) {
  const Workload workload = load(full_workload());
  write_npy(folder_.path() / "a.npy", models::Tensor<float>{{1, 16, 2, 2}, std::vector<float>(64)});
  EXPECT_EQ(error_of([&] { load_operand(workload.layers[0], Operand::kActivation); }),
            (folder_.path() / "a.npy").string() +
                ": has the shape (1, 16, 2, 2), expected (2, 16, 32, 32) for the activation of layer layer1.0.conv1");
}

TEST_F(LoadOperand, MakesSyntheticValues) {
  json source = shape_workload();
  source["values"] = json::object();
  const Workload workload = load(source);
  const models::Tensor<float> activation = load_operand(workload.layers[0], Operand::kActivation);
  EXPECT_THAT(activation.shape, ElementsAre(1, 2, 5, 6));
  EXPECT_GT(std::count(activation.values.begin(), activation.values.end(), 0.0F), 10);
  EXPECT_EQ(load_operand(workload.layers[0], Operand::kError).shape, (models::Shape{1, 4, 3, 4}));
  EXPECT_NE(load_operand(workload.layers[0], Operand::kWeight).values,
            load_operand(workload.layers[1], Operand::kWeight).values);
}

TEST(QuantizerOptions, FollowTheContract) {
  json source = shape_workload();
  source["step"] = 3;
  source["random_bits"] = 12;
  const Workload workload = parse(source);
  const models::QuantizerOptions options = quantizer_options(workload, 1, Operand::kError);
  EXPECT_EQ(options.rounding, models::Rounding::kStochastic);
  EXPECT_EQ(options.random_bits, 12);
  EXPECT_EQ(options.seed, 7U);
  EXPECT_EQ(options.stream, (std::uint64_t{3} << 32) + 5);
}

}  // namespace
}  // namespace mlsim::workloads
