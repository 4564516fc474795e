#include "workloads/network.h"

#include <algorithm>
#include <cassert>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/text.h"
#include "workloads/convolution_check.h"
#include "workloads/embedded_files.h"
#include "workloads/onnx/import.h"
#include "workloads/scale_sim.h"

namespace mlsim::workloads {
namespace {

using nlohmann::json;
using Pair = std::array<std::int64_t, 2>;

constexpr std::array<std::pair<std::string_view, LayerType>, 14> kTypeNames{{
    {"conv2d", LayerType::kConvolution},
    {"batch_norm", LayerType::kBatchNorm},
    {"layer_norm", LayerType::kLayerNorm},
    {"relu", LayerType::kRelu},
    {"relu6", LayerType::kRelu6},
    {"smooth", LayerType::kSmooth},
    {"softmax", LayerType::kSoftmax},
    {"add", LayerType::kAdd},
    {"multiply", LayerType::kMultiply},
    {"max_pool", LayerType::kMaxPool},
    {"avg_pool", LayerType::kAvgPool},
    {"subsample", LayerType::kSubsample},
    {"linear", LayerType::kLinear},
    {"product", LayerType::kProduct},
}};

LayerType type_of(const std::string& name) {
  const auto* entry =
      std::find_if(kTypeNames.begin(), kTypeNames.end(), [&](const auto& known) { return known.first == name; });
  assert(entry != kTypeNames.end());
  return entry->second;
}

std::string to_string(const FeatureMap& map) {
  return std::to_string(map.channels) + " × " + std::to_string(map.size[0]) + " × " + std::to_string(map.size[1]);
}

// Pooling and subsampling have the sizes of a convolution with as many groups as channels.
Pair out_size(const NetworkLayer& layer) {
  return models::ConvolutionShape{.batch = 1,
                                  .in_channels = 1,
                                  .out_channels = 1,
                                  .in_size = layer.input.size,
                                  .kernel = layer.kernel,
                                  .stride = layer.stride,
                                  .padding = layer.padding,
                                  .groups = 1,
                                  .dilation = layer.dilation}
      .out_size();
}

NetworkLayer read_layer(const json& source) {
  NetworkLayer layer;
  layer.name = source.at("name");
  layer.type = type_of(source.at("type"));
  layer.inputs = source.at("inputs").get<std::vector<std::string>>();
  layer.kernel = source.value("kernel", layer.kernel);
  layer.stride = source.value("stride", layer.stride);
  if (source.contains("padding")) layer.padding = padding_from_json(source.at("padding"));
  layer.dilation = source.value("dilation", layer.dilation);
  layer.groups = source.value("groups", layer.groups);
  layer.bias = source.value("bias", layer.bias);
  layer.rows = source.value("rows", layer.rows);
  layer.format = source.value("format", layer.format);
  if (source.contains("passes")) {
    const json& names = source.at("passes");
    std::erase_if(layer.passes, [&](models::Pass pass) {
      return std::find(names.begin(), names.end(), json(models::to_string(pass))) == names.end();
    });
  }
  switch (layer.type) {
    case LayerType::kConvolution:
    case LayerType::kSubsample:
      layer.input = {source.at("in_channels"), source.at("in_size")};
      layer.output = {source.at("out_channels"), out_size(layer)};
      break;
    case LayerType::kBatchNorm:
    case LayerType::kLayerNorm:
    case LayerType::kRelu:
    case LayerType::kRelu6:
    case LayerType::kSmooth:
    case LayerType::kSoftmax:
    case LayerType::kAdd:
    case LayerType::kMultiply:
    case LayerType::kEmbedding:
      layer.input = {source.at("channels"), source.at("size")};
      layer.output = layer.input;
      break;
    case LayerType::kMaxPool:
    case LayerType::kAvgPool:
      layer.input = {source.at("channels"), source.at("in_size")};
      layer.output = {layer.input.channels, out_size(layer)};
      break;
    case LayerType::kLinear:
    case LayerType::kProduct:
      layer.input = {source.at("in_features"), {1, 1}};
      layer.output = {source.at("out_features"), {1, 1}};
      break;
  }
  return layer;
}

// Throws where the layer by itself makes no sense. Layers that are no convolution are checked as one of the same sizes.
void check_layer(const NetworkLayer& layer, const std::string& file, const std::string& pointer) {
  const bool by_channel = !layer.multiplies() && layer.input.channels == layer.output.channels;
  check_convolution({.batch = layer.rows,
                     .in_channels = layer.input.channels,
                     .out_channels = layer.output.channels,
                     .in_size = layer.input.size,
                     .kernel = layer.kernel,
                     .stride = layer.stride,
                     .padding = layer.padding,
                     .groups = by_channel ? layer.input.channels : layer.groups,
                     .dilation = layer.dilation},
                    file, pointer);
  try {
    if (!layer.format.empty()) models::parse_operand_formats(layer.format);
  } catch (const std::runtime_error& error) {
    base::refuse(file, pointer + "/format", error.what());
  }
  if (layer.type == LayerType::kSubsample && layer.output.channels < layer.input.channels) {
    base::refuse(file, pointer + "/out_channels",
                 "is " + std::to_string(layer.output.channels) + ", expected at least the " +
                     std::to_string(layer.input.channels) + " of in_channels");
  }
}

// Throws where what an earlier layer gives is not what the layer reads as its input of that index.
void check_input(const NetworkLayer& layer, std::size_t index, const FeatureMap& given, const std::string& file,
                 const std::string& pointer) {
  const std::string at = pointer + "/inputs/" + std::to_string(index);
  const std::string gives = json(layer.inputs[index]).dump() + " gives " + to_string(given) + ", but the layer reads ";
  if (!layer.is_linear()) {
    if (given != layer.input) base::refuse(file, at, gives + to_string(layer.input));
    return;
  }
  // The second factor of a product is what stands in the place of weights.
  const std::int64_t wanted =
      index == 0 ? layer.rows * layer.input.channels : layer.input.channels / layer.groups * layer.output.channels;
  if (given.elements() != wanted) base::refuse(file, at, gives + std::to_string(wanted) + " features");
}

}  // namespace

InputLink input_link(const Network& network, const NetworkLayer& layer, const NetworkLayer& before) {
  const auto works_by_element = [](const NetworkLayer& one) {
    switch (one.type) {
      case LayerType::kBatchNorm:
      case LayerType::kLayerNorm:
      case LayerType::kRelu:
      case LayerType::kRelu6:
      case LayerType::kSmooth:
        return one.inputs.size() == 1;
      default:
        return false;
    }
  };
  const auto readers = [&](const std::string& name) {
    std::int64_t count = 0;
    for (const NetworkLayer& one : network.layers) count += std::count(one.inputs.begin(), one.inputs.end(), name);
    return count;
  };
  InputLink link = InputLink::kAlone;
  for (const NetworkLayer* at = &layer; at->inputs.size() == 1;) {
    const std::string& input = at->inputs.front();
    if (readers(input) > 1) link = InputLink::kShared;
    if (input == before.name) return link;
    const auto found = std::find_if(network.layers.begin(), network.layers.end(),
                                    [&](const NetworkLayer& one) { return one.name == input; });
    if (found == network.layers.end() || !works_by_element(*found)) return InputLink::kNone;
    at = &*found;
  }
  return InputLink::kNone;
}

bool NetworkLayer::multiplies() const {
  return type == LayerType::kConvolution || is_linear();
}

bool NetworkLayer::stays_float() const {
  return format == "fp32";
}

std::int64_t NetworkLayer::weight_count() const {
  if (type != LayerType::kConvolution && type != LayerType::kLinear) return 0;
  return output.channels * (input.channels / groups) * kernel[0] * kernel[1];
}

std::int64_t NetworkLayer::parameter_count() const {
  if (type == LayerType::kBatchNorm) return 2 * output.channels;
  // The output of a transposed convolution is the input of the one that is described.
  const std::int64_t biases = bias ? (transposed ? input : output).channels : 0;
  return (shares_weights ? 0 : weight_count()) + biases + trained;
}

models::ConvolutionShape NetworkLayer::convolution_shape(std::int64_t batch) const {
  assert(multiplies());
  return {.batch = batch * rows,
          .in_channels = input.channels,
          .out_channels = output.channels,
          .in_size = input.size,
          .kernel = kernel,
          .stride = stride,
          .padding = padding,
          .groups = groups,
          .dilation = dilation};
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const NetworkLayer& layer : layers) count += layer.parameter_count();
  return count;
}

std::int64_t Network::images(std::int64_t step_batch) const {
  if (!batch) return step_batch;
  if (*batch == step_batch) return 1;
  throw std::runtime_error(name + ": is for a batch of " + std::to_string(*batch) + ", not of " +
                           std::to_string(step_batch));
}

Network parse_network(std::string_view text, const std::string& file) {
  const json document = base::parse_json(text, file, embedded_json("network.schema.json"));

  Network network;
  network.name = document.at("name");
  network.input = {document.at("input").at("channels"), document.at("input").at("size")};
  if (const auto published = document.find("published"); published != document.end()) {
    network.published =
        PublishedCounts{published->at("source"), published->at("batch"),
                        published->at("counts").get<std::map<std::string, double>>(), published->value("remark", "")};
  }
  std::map<std::string, FeatureMap> maps{{"input", network.input}};
  for (const json& source : document.at("layers")) {
    const std::string pointer = "/layers/" + std::to_string(network.layers.size());
    NetworkLayer layer = read_layer(source);
    check_layer(layer, file, pointer);
    for (std::size_t i = 0; i < layer.inputs.size(); ++i) {
      const std::string at = pointer + "/inputs/" + std::to_string(i);
      const auto found = maps.find(layer.inputs[i]);
      if (found == maps.end()) base::refuse(file, at, json(layer.inputs[i]).dump() + " is no earlier layer");
      check_input(layer, i, found->second, file, pointer);
    }
    FeatureMap given = layer.output;
    given.size[0] *= layer.rows;
    if (!maps.emplace(layer.name, given).second) {
      base::refuse(file, pointer + "/name", json(layer.name).dump() + " is the name of another layer or of the input");
    }
    network.layers.push_back(std::move(layer));
  }
  return network;
}

bool has_extension(const std::filesystem::path& path, std::string_view extension) {
  return base::lower(path.extension().string()) == extension;
}

bool is_shipped(const std::string& file_or_name, const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::path path = folder / file_or_name;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_directory(path, error)) return false;
  const std::vector<std::string> names = shipped_networks();
  return std::find(names.begin(), names.end(), file_or_name) != names.end();
}

Network load_network(const std::string& file_or_name, const std::filesystem::path& folder,
                     const ModelOptions& options) {
  const std::filesystem::path path = folder / file_or_name;
  if (is_shipped(file_or_name, folder)) {
    const std::string wanted = "networks/" + file_or_name + ".json";
    for (const EmbeddedFile& file : embedded_files()) {
      if (file.name == wanted) return parse_network(file.text, file_or_name);
    }
  }
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    std::string names;
    for (const std::string& name : shipped_networks()) names += (names.empty() ? "" : ", ") + name;
    throw std::runtime_error(path.string() + ": is neither a file nor a shipped network (" + names + ")");
  }
  Network network;
  if (has_extension(path, ".onnx")) {
    network = import_onnx(path, options);
  } else {
    const std::string text = base::read_text(path);
    network = has_extension(path, ".csv") ? parse_scale_sim(text, path.string()) : parse_network(text, path.string());
  }
  network.files.push_back(path);
  return network;
}

std::vector<std::string> shipped_networks() {
  constexpr std::string_view kStart = "networks/";
  constexpr std::string_view kEnd = ".json";
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.name.starts_with(kStart)) continue;
    names.emplace_back(file.name.substr(kStart.size(), file.name.size() - kStart.size() - kEnd.size()));
  }
  return names;
}

}  // namespace mlsim::workloads
