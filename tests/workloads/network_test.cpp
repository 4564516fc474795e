#include "workloads/network.h"

#include <gmock/gmock.h>

#include <map>

#include "base/json.h"
#include "tests/support/temporary_folder.h"
#include "workloads/embedded_files.h"

namespace mlsim::workloads {
namespace {

using nlohmann::json;
using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;

TEST(ShippedNetworks, AreThese) {
  EXPECT_THAT(shipped_networks(),
              ElementsAre("mobilenetv2", "resnet18-3x3-stem", "resnet18", "resnet20", "resnet34", "resnet50", "vgg16"));
}

// Parameters: resnet18 to vgg16 as torchvision's models of these names have them; resnet20 about 0.27 million as in the
// publication, exactly 267,696 convolution weights, 650 of the linear layer, 1,376 of the batch normalizations.
TEST(ShippedNetworks, HaveTheKnownNumberOfParameters) {
  const std::map<std::string, std::int64_t> known{
      {"mobilenetv2", 3504872}, {"resnet18-3x3-stem", 11689512 - 64 * 3 * (49 - 9)},
      {"resnet18", 11689512},   {"resnet20", 269722},
      {"resnet34", 21797672},   {"resnet50", 25557032},
      {"vgg16", 138357544}};
  for (const std::string& name : shipped_networks()) {
    const Network network = load_network(name);
    EXPECT_EQ(network.name, name);
    EXPECT_EQ(network.parameter_count(), known.at(name)) << name;
  }
}

TEST(ShippedNetworks, NormalizeWhatTheirConvolutionsGive) {
  for (const std::string& name : shipped_networks()) {
    const Network network = load_network(name);
    std::map<std::string, LayerType> types;
    int batch_norms = 0;
    int convolutions = 0;
    for (const NetworkLayer& layer : network.layers) {
      types[layer.name] = layer.type;
      if (layer.type == LayerType::kConvolution) ++convolutions;
      if (layer.type != LayerType::kBatchNorm) continue;
      ++batch_norms;
      EXPECT_EQ(types.at(layer.inputs.at(0)), LayerType::kConvolution) << name << " " << layer.name;
    }
    EXPECT_EQ(batch_norms, name == "vgg16" ? 0 : convolutions) << name;
    EXPECT_EQ(network.layers.back().type, LayerType::kLinear) << name;
    EXPECT_EQ(network.layers.back().output.channels, name == "resnet20" ? 10 : 1000) << name;
  }
}

TEST(ShippedNetworks, HaveTheKnownNumberOfConvolutions) {
  const std::map<std::string, int> known{{"mobilenetv2", 52}, {"resnet18-3x3-stem", 20}, {"resnet18", 20},
                                         {"resnet20", 19},    {"resnet34", 36},          {"resnet50", 53},
                                         {"vgg16", 13}};
  for (const std::string& name : shipped_networks()) {
    int convolutions = 0;
    for (const NetworkLayer& layer : load_network(name).layers) convolutions += layer.type == LayerType::kConvolution;
    EXPECT_EQ(convolutions, known.at(name)) << name;
  }
}

TEST(LoadNetwork, ReadsAFileOrAShippedName) {
  const TemporaryFolder folder;
  json network = embedded_json("networks/resnet20.json");
  network["name"] = "mine";
  folder.write("mine.json", network.dump());
  EXPECT_EQ(load_network("mine.json", folder.path()).name, "mine");
  EXPECT_EQ(load_network((folder.path() / "mine.json").string()).name, "mine");
  EXPECT_EQ(load_network("resnet20", folder.path()).name, "resnet20");
  EXPECT_EQ(error_of([&] { load_network("resnet21"); }),
            "resnet21: is neither a file nor a shipped network (mobilenetv2, resnet18-3x3-stem, resnet18, resnet20, "
            "resnet34, resnet50, vgg16)");
}

// A small network of every type of layer.
json small_network() {
  return json::parse(R"({
    "schema": "mlsim.network/1", "name": "small", "input": {"channels": 3, "size": [8, 8]},
    "layers": [
      {"name": "conv", "type": "conv2d", "inputs": ["input"], "in_channels": 3, "out_channels": 4, "in_size": [8, 8],
       "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "groups": 1, "bias": true},
      {"name": "bn", "type": "batch_norm", "inputs": ["conv"], "channels": 4, "size": [4, 4]},
      {"name": "relu", "type": "relu6", "inputs": ["bn"], "channels": 4, "size": [4, 4]},
      {"name": "short", "type": "subsample", "inputs": ["input"], "in_channels": 3, "out_channels": 4, "in_size": [8, 8],
       "stride": [2, 2]},
      {"name": "add", "type": "add", "inputs": ["relu", "short"], "channels": 4, "size": [4, 4]},
      {"name": "pool", "type": "max_pool", "inputs": ["add"], "channels": 4, "in_size": [4, 4], "kernel": [2, 2],
       "stride": [2, 2], "padding": [0, 0]},
      {"name": "fc", "type": "linear", "inputs": ["pool"], "in_features": 16, "out_features": 5, "bias": true}]})");
}

std::string error_of_network(const json& network) {
  return error_of([&] { parse_network(network.dump(), "n.json"); });
}

TEST(ParseNetwork, ReadsEveryTypeOfLayer) {
  const Network network = parse_network(small_network().dump(), "n.json");
  ASSERT_EQ(network.layers.size(), 7U);
  EXPECT_EQ(network.layers[0].convolution_shape(5),
            (models::ConvolutionShape{5, 3, 4, {8, 8}, {3, 3}, {2, 2}, {1, 1}, 1}));
  EXPECT_EQ(network.layers[0].parameter_count(), 3 * 4 * 9 + 4);
  EXPECT_EQ(network.layers[3].output, (FeatureMap{4, {4, 4}}));
  EXPECT_EQ(network.layers[5].output, (FeatureMap{4, {2, 2}}));
  EXPECT_EQ(network.layers[6].parameter_count(), 16 * 5 + 5);
  EXPECT_EQ(network.parameter_count(), 112 + 8 + 85);
}

TEST(ParseNetwork, RefusesWhatDoesNotFitTogether) {
  const auto error = [](const std::string& pointer, const json& value) {
    json network = small_network();
    network[json::json_pointer(pointer)] = value;
    return error_of_network(network);
  };
  EXPECT_EQ(error("/layers/1/size", {4, 5}),
            "n.json: /layers/1/inputs/0: \"conv\" gives 4 × 4 × 4, but the layer reads 4 × 4 × 5");
  EXPECT_EQ(error("/layers/6/in_features", 15),
            "n.json: /layers/6/inputs/0: \"pool\" gives 4 × 2 × 2, but the layer reads 15 features");
  EXPECT_EQ(error("/layers/4/inputs/1", "input"),
            "n.json: /layers/4/inputs/1: \"input\" gives 3 × 8 × 8, but the layer reads 4 × 4 × 4");
  EXPECT_EQ(error("/layers/1/inputs/0", "relu"), "n.json: /layers/1/inputs/0: \"relu\" is no earlier layer");
  EXPECT_EQ(error("/layers/2/name", "conv"),
            "n.json: /layers/2/name: \"conv\" is the name of another layer or of the input");
  EXPECT_EQ(error("/layers/2/name", "input"),
            "n.json: /layers/2/name: \"input\" is the name of another layer or of the input");
  EXPECT_EQ(error("/layers/3/out_channels", 2),
            "n.json: /layers/3/out_channels: is 2, expected at least the 3 of in_channels");
}

TEST(ParseNetwork, RefusesWhatTheSchemaDoesNotAllow) {
  const auto error = [](const std::string& pointer, const json& value) {
    json network = small_network();
    network[json::json_pointer(pointer)] = value;
    return error_of_network(network);
  };
  EXPECT_EQ(error("/layers/1/kernel", {3, 3}),
            "n.json: /layers/1/kernel: is an unknown key, expected one of channels, inputs, name, size, type");
  EXPECT_EQ(error("/layers/0/stride/1", -1),
            "n.json: /layers/0/stride/1: is -1, expected an integer from 1 to 1048576");
  EXPECT_EQ(error("/layers/0/bias", "yes"), "n.json: /layers/0/bias: is \"yes\", expected true or false");
  EXPECT_EQ(
      error("/layers/2/type", "gelu"),
      "n.json: /layers/2/type: is \"gelu\", expected one of \"conv2d\", \"batch_norm\", \"layer_norm\", \"relu\", "
      "\"relu6\", \"smooth\", \"softmax\", \"add\", \"multiply\", \"max_pool\", \"avg_pool\", \"subsample\", "
      "\"linear\", \"product\"");
  EXPECT_EQ(error("/schema", "mlsim.workload/1"),
            "n.json: /schema: is \"mlsim.workload/1\", expected \"mlsim.network/1\"");
  EXPECT_EQ(error("/layers/0/groups", 2),
            "n.json: /layers/0/groups: is 2, expected a divisor of in_channels 3 and out_channels 4");
  EXPECT_EQ(error("/layers/5/kernel", {5, 5}), "n.json: /layers/5/kernel: is 5, larger than the padded input of 4");
  json network = small_network();
  network["layers"][4].erase("inputs");
  EXPECT_EQ(error_of_network(network), "n.json: /layers/4: the key \"inputs\" is missing");
  EXPECT_EQ(error_of([] { parse_network("{", "n.json"); }),
            "n.json: line 1, column 2: is no JSON: unexpected end of input; expected string literal");
}

TEST(ParseNetwork, RefusesALayerTooLargeToCount) {
  json network = small_network();
  network["input"] = {{"channels", 1048576}, {"size", {1048576, 1048576}}};
  network["layers"] = json::array({{{"name", "relu"},
                                    {"type", "relu"},
                                    {"inputs", {"input"}},
                                    {"channels", 1048576},
                                    {"size", {1048576, 1048576}}}});
  EXPECT_EQ(error_of_network(network), "n.json: /layers/0: has more than 2^56 multiply-adds or elements");
}

}  // namespace
}  // namespace mlsim::workloads
