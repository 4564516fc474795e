#include "workloads/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "workloads/convolution_check.h"
#include "workloads/embedded_files.h"
#include "workloads/network.h"
#include "workloads/npy.h"

namespace mlsim::workloads {
namespace {

using models::Operand;
using models::Pass;
using nlohmann::json;

// Streams of synthetic values have the top bit, which no stream of rounding has.
constexpr std::uint64_t kValueStreams = std::uint64_t{1} << 63;

constexpr std::size_t index_of(Operand operand) {
  return static_cast<std::size_t>(operand);
}

constexpr std::array<models::Rounding, 3> kDefaultRounding{models::Rounding::kNearest, models::Rounding::kNearest,
                                                           models::Rounding::kStochastic};

// Operands as they come before anything is computed: activations past a ReLU, weights of a usual initialization, small
// errors.
constexpr std::array<std::pair<Distribution, double>, 3> kDefaultValues{
    {{Distribution::kReluNormal, 1.0}, {Distribution::kNormal, 0.05}, {Distribution::kNormal, 0.001}}};

class WorkloadReader {
 public:
  WorkloadReader(const json& document, const std::string& file, const std::filesystem::path& folder,
                 const ModelOptions& options = {})
      : document_(document), file_(file), folder_(folder), options_(options) {}

  // `network` is what the document's layers name, where it has been read already.
  Workload read(const Network* network) {
    network_ = network;
    return read();
  }

  Workload read() {
    Workload workload;
    workload.name = document_.at("name");
    workload.seed = document_.at("seed").get<std::uint64_t>();
    workload.step = document_.value("step", workload.step);
    workload.random_bits = document_.value("random_bits", workload.random_bits);
    workload.accumulator.bits = document_.value("accumulator_bits", 0);
    if (document_.value("overflow", "saturate") == "wrap") workload.accumulator.overflow = models::Overflow::kWrap;

    seed_ = workload.seed;
    const json& layers = document_.at("layers");
    if (layers.is_string()) {
      if (network_ != nullptr) {
        take_network(*network_, workload);
      } else {
        take_network(network_named(layers), workload);
      }
    } else {
      if (document_.contains("batch")) {
        refuse("/batch", "is given, but here each layer has its own: expected it only where layers names a network");
      }
      for (std::size_t i = 0; i < layers.size(); ++i) {
        workload.layers.push_back(read_layer(i));
        if (i > 0) check_link(workload.layers[i - 1], workload.layers[i], i);
      }
    }
    if (base::has_control_characters(workload.name)) {
      refuse("/name", json(workload.name).dump() + " has control characters, expected a name without them");
    }
    check_names(workload.layers, layers.is_string());
    for (const Layer& layer : workload.layers) {
      for (const LayerOperand& operand : layer.operands) {
        if (const auto* tensor = std::get_if<std::filesystem::path>(&operand.source)) workload.files.push_back(*tensor);
      }
    }
    return workload;
  }

 private:
  [[noreturn]] void refuse(const std::string& pointer, const std::string& reason) const {
    base::refuse(file_, pointer, reason);
  }

  static std::string pointer_to(std::size_t layer_index) { return "/layers/" + std::to_string(layer_index); }

  // Everything of a layer but its shape. `own` holds the keys of the layer itself: an empty object for one of a
  // network.
  void fill_layer(Layer& layer, std::size_t index, const json& own) const {
    for (const Operand operand : models::kOperands) {
      LayerOperand& filled = layer.operands[index_of(operand)];
      filled.format = format_of(layer.role(operand), index, own);
      filled.rounding = rounding_of(layer.role(operand));
      filled.source = source_of(layer, operand, index, own);
    }
    check_families(layer, index, own);
    layer.passes = passes_of(layer, index, own);
    check_products(layer, index, own);
  }

  Layer read_layer(std::size_t index) const {
    const json& source = document_.at("layers").at(index);
    const std::string pointer = pointer_to(index);
    Layer layer;
    layer.name = source.at("name");
    layer.shape.batch = source.at("batch");
    layer.shape.in_channels = source.at("in_channels");
    layer.shape.out_channels = source.at("out_channels");
    layer.shape.groups = source.value("groups", layer.shape.groups);
    layer.linear = source.at("type") == "linear";
    layer.index = source.value("index", index);
    layer.link = link_of(source, index);
    if (!layer.linear) {
      for (const char* key : {"in_size", "kernel"}) {
        if (!source.contains(key)) refuse(pointer, std::string("the key \"") + key + "\" is missing");
      }
      layer.shape.in_size = source.at("in_size");
      layer.shape.kernel = source.at("kernel");
      layer.shape.stride = source.value("stride", layer.shape.stride);
      layer.shape.dilation = source.value("dilation", layer.shape.dilation);
      if (source.contains("padding")) layer.shape.padding = padding_from_json(source.at("padding"));
    } else {
      for (const char* key : {"in_size", "kernel", "stride", "dilation", "padding"}) {
        if (source.contains(key)) refuse(pointer + "/" + key, "is given, but a linear layer has no image");
      }
    }
    check_convolution(layer.shape, file_, pointer);
    if (source.contains("tensors") && source.contains("values")) {
      refuse(pointer + "/values", "is given beside tensors, expected one of the two");
    }
    fill_layer(layer, index, source);
    return layer;
  }

  InputLink link_of(const json& source, std::size_t index) const {
    if (!source.contains("reads_previous")) return InputLink::kNone;
    if (index == 0) refuse(pointer_to(index) + "/reads_previous", "is given, but no layer is before this one");
    return source.at("reads_previous") == "alone" ? InputLink::kAlone : InputLink::kShared;
  }

  // What stands between two layers works element by element, so that their numbers are the same.
  void check_link(const Layer& before, const Layer& layer, std::size_t index) const {
    if (layer.link == InputLink::kNone) return;
    const std::int64_t given = models::element_count(before.shape.result_shape(models::Pass::kForward));
    const std::int64_t taken = models::element_count(layer.shape.shape_of(Operand::kActivation));
    if (given == taken) return;
    refuse(pointer_to(index) + "/reads_previous", "is given, but the activation has " + std::to_string(taken) +
                                                      " elements and the output of layer '" + before.name + "' " +
                                                      std::to_string(given));
  }

  // Layers as they are follow each other alone: of a transposed convolution and of a product, operands stand in each
  // other's place.
  static InputLink link_of(const Network& network, const NetworkLayer& source, const NetworkLayer* before) {
    if (before == nullptr) return InputLink::kNone;
    for (const NetworkLayer* layer : {&source, before}) {
      if (layer->type == LayerType::kProduct || layer->transposed) return InputLink::kNone;
    }
    return input_link(network, source, *before);
  }

  Network network_named(const std::string& reference) const {
    ModelOptions options = options_;
    if (document_.contains("batch")) options.batch = document_.at("batch").get<std::int64_t>();
    try {
      return load_network(reference, folder_, options);
    } catch (const std::runtime_error& error) {
      refuse("/layers", error.what());
    }
  }

  void take_network(const Network& network, Workload& workload) const {
    const std::int64_t batch = document_.value("batch", options_.batch.value_or(network.batch.value_or(1)));
    const std::int64_t images = network.images(batch);
    const NetworkLayer* before = nullptr;  // in the workload
    for (const NetworkLayer& source : network.layers) {
      if (!source.multiplies() || source.stays_float()) continue;
      Layer layer;
      layer.name = source.name;
      layer.linear = source.is_linear();
      layer.shape = source.convolution_shape(images);
      if (source.type == LayerType::kProduct) layer.roles[index_of(Operand::kWeight)] = Operand::kActivation;
      if (source.transposed) layer.roles = {Operand::kError, Operand::kWeight, Operand::kActivation};
      check_convolution(layer.shape, file_, "/layers");
      layer.index = workload.layers.size();
      fill_layer(layer, layer.index, source.format.empty() ? json::object() : json{{"format", source.format}});
      // A model's weights are taken unless the workload says what else they are.
      if (source.weight && document_.contains("values") && !document_.at("values").contains("weight")) {
        layer.operands[index_of(Operand::kWeight)].source = source.weight;
      }
      std::erase_if(layer.passes, [&](Pass pass) {
        return std::find(source.passes.begin(), source.passes.end(), pass) == source.passes.end();
      });
      if (layer.passes.empty()) continue;
      layer.link = link_of(network, source, std::exchange(before, &source));
      workload.layers.push_back(std::move(layer));
    }
    if (workload.layers.empty()) refuse("/layers", "names a network without a layer that is quantized");
    workload.remarks = network.remarks;
    workload.files = network.files;
    workload.content_hash = network.content_hash;
  }

  // The format of the layer, or else of the workload; either may be a text or give the operand its own.
  models::Format format_of(Operand operand, std::size_t index, const json& own) const {
    const std::string name = models::to_string(operand);
    for (const auto& [object, start] : {std::pair<const json*, std::string>{&own, pointer_to(index)},
                                        std::pair<const json*, std::string>{&document_, ""}}) {
      if (!object->contains("format")) continue;
      const json& format = object->at("format");
      if (format.is_object() && !format.contains(name)) continue;
      const std::string pointer = start + "/format" + (format.is_object() ? "/" + name : "");
      const std::string text = format.is_object() ? format.at(name) : format;
      try {
        return models::parse_operand_formats(text)[index_of(operand)];
      } catch (const std::runtime_error& error) {
        refuse(pointer, error.what());
      }
    }
    refuse(own.empty() ? "" : pointer_to(index),
           "no format is given for the " + name + ", expected a format in the layer or in the workload");
  }

  models::Rounding rounding_of(Operand operand) const {
    const std::string name = models::to_string(operand);
    const json given = document_.value("rounding", json::object());
    return given.contains(name) ? models::parse_rounding(given.at(name)) : kDefaultRounding[index_of(operand)];
  }

  OperandSource source_of(const Layer& layer, Operand operand, std::size_t index, const json& own) const {
    const std::string name = models::to_string(layer.role(operand));
    if (own.contains("tensors")) {
      const json& tensors = own.at("tensors");
      if (!tensors.contains(name)) return std::monostate{};
      return folder_ / tensors.at(name).get<std::string>();
    }
    const bool is_own = own.contains("values");
    if (!is_own && !document_.contains("values")) return std::monostate{};
    const json& given = is_own ? own.at("values") : document_.at("values");
    const json by_operand = given.value(name, json::object());
    SyntheticValues values;
    std::tie(values.distribution, values.scale) = kDefaultValues[index_of(layer.role(operand))];
    for (const json& object : {given, by_operand}) {
      values.scale = object.value("scale", values.scale);
      if (object.contains("distribution")) values.distribution = distribution_of(object.at("distribution"));
    }
    values.seed = given.value("seed", seed_);
    values.stream = kValueStreams | random_stream(0, index, operand);
    return values;
  }

  static Distribution distribution_of(const std::string& name) {
    for (const Distribution distribution : {Distribution::kNormal, Distribution::kReluNormal, Distribution::kUniform}) {
      if (to_string(distribution) == name) return distribution;
    }
    return Distribution::kLaplace;
  }

  // A block-scaled operand is multiplied with block-scaled ones, a baseline one with baseline ones.
  void check_families(const Layer& layer, std::size_t index, const json& own) const {
    const auto count = std::count_if(layer.operands.begin(), layer.operands.end(),
                                     [](const LayerOperand& operand) { return is_scaled(operand.format); });
    if (count == 0 || count == 3) return;
    std::string formats;
    for (const LayerOperand& operand : layer.operands) {
      formats += (formats.empty() ? "" : ", ") + models::to_string(operand.format);
    }
    refuse((own.contains("format") ? pointer_to(index) : "") + "/format",
           "mixes block-scaled and baseline formats (" + formats + "), expected all three operands of one kind");
  }

  // int8 is multiplied with int8 alone.
  void check_products(const Layer& layer, std::size_t index, const json& own) const {
    for (const Pass pass : layer.passes) {
      const Operand left = models::left_operand(pass);
      const Operand right = models::right_operand(pass);
      if (models::family_of(layer.operand(left).format) == models::family_of(layer.operand(right).format)) continue;
      refuse((own.contains("format") ? pointer_to(index) : "") + "/format",
             fmt::format("has {} for the {} and {} for the {}, which {} multiplies, expected int8 for both or neither",
                         models::to_string(layer.operand(left).format), models::to_string(left),
                         models::to_string(layer.operand(right).format), models::to_string(right),
                         models::to_string(pass)));
    }
  }

  std::vector<Pass> passes_of(const Layer& layer, std::size_t index, const json& own) const {
    const auto missing = [&](Pass pass) -> std::optional<Operand> {
      if (layer.is_shape_only()) return std::nullopt;
      for (const Operand operand : {models::left_operand(pass), models::right_operand(pass)}) {
        if (!layer.operand(operand).has_values()) return operand;
      }
      return std::nullopt;
    };
    const json& holder = own.contains("passes") ? own : document_;
    std::vector<Pass> passes;
    if (!holder.contains("passes")) {
      for (const Pass pass : models::kPasses) {
        if (!missing(pass)) passes.push_back(pass);
      }
      if (passes.empty()) {
        refuse(pointer_to(index) + "/tensors", "gives both operands of no pass, expected at least two operands");
      }
      return passes;
    }
    const json& names = holder.at("passes");
    const std::string start = &holder == &own ? pointer_to(index) : "";
    for (const Pass pass : models::kPasses) {
      const auto name = std::find(names.begin(), names.end(), json(models::to_string(pass)));
      if (name == names.end()) continue;
      if (const auto operand = missing(pass)) {
        refuse(start + "/passes/" + std::to_string(name - names.begin()),
               models::to_string(pass) + " needs the " + models::to_string(*operand) + ", which " + pointer_to(index) +
                   "/tensors does not give");
      }
      passes.push_back(pass);
    }
    return passes;
  }

  // Names become names of files.
  void check_names(const std::vector<Layer>& layers, bool of_network) const {
    constexpr std::size_t kLongest = 200;
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string& name = layers[i].name;
      const std::string pointer = of_network ? "/layers" : pointer_to(i) + "/name";
      if (base::has_control_characters(name) || name.find_first_of("/\\") != std::string::npos || name == "." ||
          name == ".." || name.size() > kLongest) {
        refuse(pointer, json(name).dump() +
                            " cannot name a file, expected up to 200 bytes without slashes or control characters");
      }
      const auto [entry, is_new] = first.emplace(name, i);
      if (!is_new) refuse(pointer, json(name).dump() + " is also the name of " + pointer_to(entry->second));
    }
  }

  const json& document_;
  const std::string& file_;
  const std::filesystem::path& folder_;
  ModelOptions options_;
  const Network* network_ = nullptr;
  std::uint64_t seed_ = 0;
};

}  // namespace

bool Layer::is_shape_only() const {
  return std::none_of(operands.begin(), operands.end(), [](const LayerOperand& o) { return o.has_values(); });
}

void Layer::set_formats(const models::OperandFormats& formats) {
  for (const Operand operand : models::kOperands) operands[index_of(operand)].format = formats[index_of(role(operand))];
}

Workload parse_workload(std::string_view text, const std::string& file, const std::filesystem::path& folder,
                        const ModelOptions& options) {
  const json document = base::parse_json(text, file, embedded_json("workload.schema.json"));
  Workload workload = WorkloadReader(document, file, folder, options).read();
  base::Hash hash;
  hash.add(text);
  if (workload.content_hash != 0) hash.add(fmt::format("{:016x}", workload.content_hash));
  workload.content_hash = hash.value();
  return workload;
}

Workload workload_of(const Network& network, const json& document, const std::string& file) {
  const std::filesystem::path folder;
  Workload workload = WorkloadReader(document, file, folder).read(&network);
  workload.content_hash = base::Hash().add(document.dump()).add(fmt::format("{:016x}", network.content_hash)).value();
  return workload;
}

Workload load_workload(const std::filesystem::path& path) {
  Workload workload = parse_workload(base::read_text(path), path.string(), path.parent_path());
  workload.files.push_back(path);
  return workload;
}

void set_formats(Workload& workload, const models::OperandFormats& formats) {
  for (Layer& layer : workload.layers) layer.set_formats(formats);
}

models::Tensor<float> load_operand(const Layer& layer, models::Operand operand) {
  const models::Shape shape = layer.shape.shape_of(operand);
  const models::Shape expected = file_shape(layer, shape);
  const OperandSource& source = layer.operand(operand).source;
  if (const auto* values = std::get_if<SyntheticValues>(&source)) return synthetic_tensor(shape, *values);
  if (const auto* stored = std::get_if<std::shared_ptr<const StoredTensor>>(&source)) {
    models::Tensor<float> tensor = (*stored)->load();
    assert(tensor.shape == shape);
    return tensor;
  }
  assert(std::holds_alternative<std::filesystem::path>(source));
  const auto& path = std::get<std::filesystem::path>(source);
  models::Tensor<float> tensor = read_npy(path);
  if (tensor.shape != expected) {
    throw std::runtime_error(path.string() + ": has the shape " + models::to_string(tensor.shape) + ", expected " +
                             models::to_string(expected) + " for the " + models::to_string(operand) + " of layer " +
                             layer.name);
  }
  tensor.shape = shape;
  return tensor;
}

models::Shape file_shape(const Layer& layer, const models::Shape& shape) {
  return layer.linear ? models::Shape{shape[0], shape[1]} : shape;
}

std::uint64_t random_stream(std::uint64_t step, std::size_t layer_index, models::Operand operand) {
  return (step << 32) + 3 * layer_index + index_of(operand);
}

models::QuantizerOptions quantizer_options(const Workload& workload, std::size_t layer_index, models::Operand operand) {
  models::QuantizerOptions options;
  options.rounding = workload.layers.at(layer_index).operand(operand).rounding;
  options.random_bits = workload.random_bits;
  options.seed = workload.seed;
  options.stream = random_stream(workload.step, workload.layers.at(layer_index).index, operand);
  return options;
}

}  // namespace mlsim::workloads
