#include "workloads/training_counts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/support/temporary_folder.h"

namespace mlsim::workloads {
namespace {

using test::error_of;
using testing::HasSubstr;

std::string figure(std::uint64_t count) {
  return fmt::format("{:.2E}", static_cast<double>(count));
}

// The publication's table 1; see Network::published of the two networks for its source.
TEST(CountTrainingStep, GivesThePublishedFiguresOfResNet18) {
  const TrainingCounts counts = count_training_step(load_network("resnet18-3x3-stem"), 1);
  EXPECT_EQ(figure(counts.convolution.forward), "2.72E+10");
  EXPECT_EQ(figure(counts.convolution.backward), "5.44E+10");
  EXPECT_EQ(figure(counts.batch_norm.forward), "3.01E+07");
  EXPECT_EQ(figure(counts.batch_norm.backward), "3.01E+07");
  EXPECT_EQ(figure(counts.convolution_weights), "1.12E+07");
  EXPECT_EQ(figure(counts.convolution_weights + counts.linear_weights), "1.17E+07");
  // Published: 1.49E+07 forward, 1.20E+07 backward.
  EXPECT_EQ(figure(counts.element_add.forward), "1.20E+07");
  EXPECT_EQ(figure(counts.element_add.backward), "1.20E+07");
  EXPECT_EQ(figure(counts.gradient_add.backward), "1.49E+07");
  ASSERT_TRUE(counts.published.has_value());
  EXPECT_EQ(counts.published->counts.at("element_add_forward"), 1.49e7);
  EXPECT_EQ(counts.published->counts.at("element_add_backward"), 1.20e7);
}

TEST(CountTrainingStep, GivesThePublishedFiguresOfResNet20) {
  const TrainingCounts counts = count_training_step(load_network("resnet20"), 1);
  EXPECT_EQ(counts.convolution.forward, 40550400U);  // published: 4.05E+07, cut rather than rounded
  EXPECT_EQ(figure(counts.convolution.backward), "8.11E+07");
  EXPECT_EQ(figure(counts.batch_norm.forward), "1.88E+05");
  EXPECT_EQ(figure(counts.batch_norm.backward), "1.88E+05");
  EXPECT_EQ(figure(counts.convolution_weights), "2.68E+05");
  EXPECT_EQ(counts.element_add, (StepCount{86016, 86016}));  // published: 7.37E+04
  EXPECT_EQ(counts.published->counts.at("element_add_forward"), 7.37e4);
}

// Every figure that the publication gives is met to three digits, but for the additions. (4.05504E+07 is printed
// as 4.05E+07.)
TEST(CountTrainingStep, AgreesWithEveryPublishedFigureButTheAdditions) {
  for (const char* name : {"resnet18-3x3-stem", "resnet20"}) {
    const TrainingCounts counts = count_training_step(load_network(name), 1);
    const nlohmann::ordered_json document = to_json(counts);
    for (const auto& [key, published] : counts.published->counts) {
      if (key.starts_with("element_add")) continue;
      const std::size_t cut = key.rfind('_');
      const std::uint64_t counted = key == "weight_update"
                                        ? document["weight_update"]["convolution_weights"].get<std::uint64_t>()
                                        : document[key.substr(0, cut)][key.substr(cut + 1)].get<std::uint64_t>();
      EXPECT_NEAR(static_cast<double>(counted) / published, 1, 0.005) << name << " " << key;
    }
  }
}

// Multiply-adds of the standard networks at 224 × 224, known from many places: 1.81, 3.66, 4.09, 15.47 and 0.30 billion
// with the linear layers.
TEST(CountTrainingStep, GivesTheKnownMultiplyAdds) {
  const auto total = [](const char* name) {
    const TrainingCounts counts = count_training_step(load_network(name), 1);
    return fmt::format("{:.2f}", static_cast<double>(counts.convolution.forward + counts.linear.forward) * 1e-9);
  };
  EXPECT_EQ(total("resnet18"), "1.81");
  EXPECT_EQ(total("resnet34"), "3.66");
  EXPECT_EQ(total("resnet50"), "4.09");
  EXPECT_EQ(total("vgg16"), "15.47");
  EXPECT_EQ(total("mobilenetv2"), "0.30");
}

Network tiny_network() {
  return parse_network(R"({
    "schema": "mlsim.network/1", "name": "tiny", "input": {"channels": 2, "size": [4, 4]},
    "layers": [
      {"name": "conv", "type": "conv2d", "inputs": ["input"], "in_channels": 2, "out_channels": 4, "in_size": [4, 4],
       "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "groups": 2, "bias": true},
      {"name": "bn", "type": "batch_norm", "inputs": ["conv"], "channels": 4, "size": [4, 4]},
      {"name": "relu", "type": "relu", "inputs": ["bn"], "channels": 4, "size": [4, 4]},
      {"name": "add", "type": "add", "inputs": ["relu", "conv", "relu"], "channels": 4, "size": [4, 4]},
      {"name": "max", "type": "max_pool", "inputs": ["add"], "channels": 4, "in_size": [4, 4], "kernel": [2, 2],
       "stride": [2, 2], "padding": [0, 0]},
      {"name": "avg", "type": "avg_pool", "inputs": ["max"], "channels": 4, "in_size": [2, 2], "kernel": [2, 2],
       "stride": [1, 1], "padding": [0, 0]},
      {"name": "fc", "type": "linear", "inputs": ["avg"], "in_features": 4, "out_features": 5, "bias": true}]})",
                       "tiny.json");
}

TEST(CountTrainingStep, CountsByHand) {
  const TrainingCounts counts = count_training_step(tiny_network(), 3);
  EXPECT_EQ(counts.convolution, (StepCount{3 * 64 * 9, 2 * 3 * 64 * 9}));
  // 4 × 4 outputs with a 3 × 3 kernel: (3·4 - 2)² = 100 of 144 taps are not padding.
  EXPECT_EQ(counts.convolution_in_range, (StepCount{3 * 4 * 100, 2 * 3 * 4 * 100}));
  EXPECT_EQ(counts.batch_norm, (StepCount{3 * 64, 3 * 64}));
  EXPECT_EQ(counts.activation, (StepCount{3 * 64, 3 * 64}));
  EXPECT_EQ(counts.element_add, (StepCount{3 * 2 * 64, 3 * 2 * 64}));
  EXPECT_EQ(counts.gradient_add, (StepCount{0, 3 * (64 + 64)}));  // conv and relu are each read twice
  EXPECT_EQ(counts.pooling, (StepCount{3 * (16 * 4 + 4 * 4), 3 * (16 + 4 * 4)}));
  EXPECT_EQ(counts.linear, (StepCount{3 * 20, 2 * 3 * 20}));
  EXPECT_EQ(counts.convolution_weights, 36U);
  EXPECT_EQ(counts.linear_weights, 20U);
  EXPECT_EQ(counts.parameters, 36U + 4 + 8 + 20 + 5);
  EXPECT_FALSE(counts.published.has_value());
}

TEST(CountTrainingStep, ShowsPublishedFiguresAtTheirBatchOnly) {
  EXPECT_FALSE(count_training_step(load_network("resnet20"), 2).published.has_value());
}

TEST(CountTrainingStep, RefusesABatchOutOfRange) {
  EXPECT_EQ(error_of([] { count_training_step(tiny_network(), 0); }), "batch is 0, expected 1 to 1048576");
  EXPECT_EQ(error_of([] { count_training_step(tiny_network(), 1048577); }), "batch is 1048577, expected 1 to 1048576");
}

// A feature map of 2^56 elements, which as many layers read by one element each as would take the sum of gradients to
// 2^64.
TEST(CountTrainingStep, RefusesGradientsBeyondItsCounts) {
  std::string layers = R"({"name": "relu", "type": "relu", "inputs": ["input"], "channels": 1048576,
                           "size": [262144, 262144]})";
  for (int i = 0; i < 257; ++i) {
    layers += R"(, {"name": "conv)" + std::to_string(i) + R"(", "type": "conv2d", "inputs": ["relu"],
      "in_channels": 1048576, "out_channels": 1, "in_size": [262144, 262144], "kernel": [1, 1],
      "stride": [262144, 262144], "padding": [0, 0], "groups": 1, "bias": false})";
  }
  const Network network = parse_network(R"({"schema": "mlsim.network/1", "name": "wide",
    "input": {"channels": 1048576, "size": [262144, 262144]}, "layers": [)" +
                                            layers + "]}",
                                        "wide.json");
  EXPECT_EQ(error_of([&] { count_training_step(network, 1); }), "wide: a step has more than 2^60 operations");
}

TEST(TrainingCountsText, ShowsBothFiguresAndTheSource) {
  const std::string text = to_text(count_training_step(load_network("resnet18-3x3-stem"), 1));
  EXPECT_THAT(text,
              HasSubstr("convolution, multiply-adds          2.72E+10    5.44E+10        2.72E+10    5.44E+10\n"));
  EXPECT_THAT(text,
              HasSubstr("addition of feature maps            1.20E+07    1.20E+07        1.49E+07    1.20E+07\n"));
  EXPECT_THAT(text,
              HasSubstr("weight update, convolutions                     1.12E+07                    1.12E+07\n"));
  EXPECT_THAT(text, HasSubstr("  with linear layers                            1.17E+07\n"));
  EXPECT_THAT(text, HasSubstr("arXiv:2006.02804"));
}

TEST(TrainingCountsJson, IsExact) {
  const nlohmann::ordered_json document = to_json(count_training_step(tiny_network(), 3));
  EXPECT_EQ(document["convolution"]["backward"], 2 * 3 * 64 * 9);
  EXPECT_EQ(document["weight_update"]["parameters"], 73);
  EXPECT_FALSE(document.contains("published"));
}

}  // namespace
}  // namespace mlsim::workloads
