#include "workloads/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"

namespace mlsim::workloads {
namespace {

using nlohmann::json;

// What a name leads to.
struct Found {
  enum class Kind : std::uint8_t { kWorkload, kNetwork, kOther };  // other: a shipped network, a topology, a model
  Kind kind = Kind::kOther;
  std::string file{};  // that errors name
  std::string text{};  // of JSON
  json document{};     // which it holds
  std::filesystem::path folder{};
};

bool looks_like_a_file(const std::string& name) {
  return name.find('/') != std::string::npos || std::filesystem::path(name).has_extension();
}

// The kind that a document says to be of. Only a network says so clearly; all else has to be a workload.
Found::Kind kind_of(const json& document) {
  if (!document.is_object() || !document.contains("schema")) return Found::Kind::kWorkload;
  return document.at("schema") == "mlsim.network/1" ? Found::Kind::kNetwork : Found::Kind::kWorkload;
}

Found find(const std::string& name) {
  Found found{.file = name};
  if (name == "-") {
    found.file = "standard input";
    found.text = base::read_standard_input();
  } else {
    if (is_shipped(name)) return found;
    std::error_code error;
    // The names of what is shipped help those who meant one of them.
    const bool is_file = looks_like_a_file(name) || std::filesystem::exists(name, error);
    if (!is_file || has_extension(name, ".csv") || has_extension(name, ".onnx")) return found;
    found.text = base::read_text(name);
    found.folder = std::filesystem::path(name).parent_path();
  }
  found.document = base::parse_json(found.text, found.file);
  found.kind = kind_of(found.document);
  return found;
}

[[noreturn]] void refuse_option(const std::string& option, const std::string& file, const std::string& what) {
  throw std::runtime_error(fmt::format("--{} is given, but {} has {}", option, file, what));
}

bool has_weights(const Network& network) {
  return std::any_of(network.layers.begin(), network.layers.end(),
                     [](const NetworkLayer& layer) { return layer.weight != nullptr; });
}

Network network_of(const std::string& name, const Found& found, const ModelOptions& options) {
  if (found.kind != Found::Kind::kNetwork) return load_network(name, {}, options);
  Network network = parse_network(found.text, found.file);
  if (name != "-") network.files.emplace_back(name);
  return network;
}

// A workload takes a batch from elsewhere only where it names a network and no batch.
void refuse_own_batch(const Found& found) {
  const json& document = found.document;
  const bool names_network = document.is_object() && document.contains("layers") && document.at("layers").is_string();
  if (!names_network || document.contains("batch")) refuse_option("batch", found.file, "its own batch");
}

// Layers of a workload, whose sizes are of a whole batch.
Network network_of_layers(const Workload& workload, const json& document) {
  Network network;
  network.name = workload.name;
  network.batch = workload.layers.front().shape.batch;
  network.input = {workload.layers.front().shape.in_channels, workload.layers.front().shape.in_size};
  network.gradient_additions = 0;
  for (std::size_t i = 0; i < workload.layers.size(); ++i) {
    const Layer& layer = workload.layers[i];
    NetworkLayer of_network;
    of_network.name = layer.name;
    of_network.type = layer.linear ? LayerType::kLinear : LayerType::kConvolution;
    of_network.inputs = {"input"};
    of_network.input = {layer.shape.in_channels, layer.shape.in_size};
    of_network.output = {layer.shape.out_channels, layer.shape.out_size()};
    of_network.kernel = layer.shape.kernel;
    of_network.stride = layer.shape.stride;
    of_network.padding = layer.shape.padding;
    of_network.dilation = layer.shape.dilation;
    of_network.groups = layer.shape.groups;
    of_network.rows = layer.shape.batch;
    of_network.passes = layer.passes;
    of_network.bias = document.at("layers").at(i).value("bias", false);
    network.layers.push_back(std::move(of_network));
  }
  return network;
}

}  // namespace

NetworkValues parse_network_values(const std::string& text) {
  if (text == "none") return NetworkValues::kNone;
  if (text == "weights") return NetworkValues::kWeights;
  if (text == "synthetic") return NetworkValues::kSynthetic;
  throw std::runtime_error(fmt::format("is '{}', expected none, weights or synthetic", text));
}

Workload open_workload(const std::string& name, const SourceOptions& options) {
  const Found found = find(name);
  const ModelOptions model{options.batch, options.strict};
  if (found.kind == Found::Kind::kWorkload) {
    if (options.values) refuse_option("values", found.file, "layers that say their own");
    if (options.batch) refuse_own_batch(found);
    Workload workload = parse_workload(found.text, found.file, found.folder, model);
    if (name != "-") workload.files.emplace_back(name);
    return workload;
  }
  Network network = network_of(name, found, model);
  const NetworkValues values =
      options.values.value_or(has_weights(network) ? NetworkValues::kWeights : NetworkValues::kNone);
  if (values == NetworkValues::kWeights && !has_weights(network)) {
    refuse_option("values", found.file, "no weights, expected none or synthetic");
  }
  json document{
      {"schema", "mlsim.workload/1"}, {"name", network.name}, {"seed", 1U}, {"format", "e2m4"}, {"layers", name}};
  if (options.batch) document["batch"] = *options.batch;
  if (values == NetworkValues::kWeights) document["values"] = json::object();
  if (values == NetworkValues::kSynthetic) document["values"] = {{"weight", json::object()}};
  return workload_of(network, document, found.file);
}

NetworkStep open_network(const std::string& name, const SourceOptions& options) {
  const Found found = find(name);
  const ModelOptions model{options.batch, options.strict};
  NetworkStep step;
  if (found.kind != Found::Kind::kWorkload) {
    step = {network_of(name, found, model), options.batch};
  } else {
    if (options.batch) refuse_own_batch(found);
    const Workload workload = parse_workload(found.text, found.file, found.folder, model);
    const json& layers = found.document.at("layers");
    if (!layers.is_string()) {
      return {network_of_layers(workload, found.document), workload.layers.front().shape.batch};
    }
    const std::int64_t batch = found.document.value("batch", options.batch.value_or(1));
    step = {load_network(layers, found.folder, {batch, options.strict}), batch};
  }
  if (step.network.batch) step.batch = step.network.batch;
  return step;
}

}  // namespace mlsim::workloads
