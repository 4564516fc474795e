#include "workloads/training_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace mlsim::workloads {
namespace {

std::uint64_t unsigned_of(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

StepCount each_way(std::uint64_t count) {
  return {count, count};
}

void count_layer(const NetworkLayer& layer, std::int64_t batch, TrainingCounts& counts) {
  const std::uint64_t outputs = unsigned_of(batch * layer.rows * layer.output.elements());
  const std::uint64_t window = unsigned_of(layer.kernel[0] * layer.kernel[1]);
  switch (layer.type) {
    case LayerType::kConvolution: {
      const std::uint64_t nominal = outputs * window * unsigned_of(layer.input.channels / layer.groups);
      const models::ConvolutionShape shape = layer.convolution_shape(batch);
      counts.convolution += {nominal, 2 * nominal};
      for (const models::Pass pass : layer.passes) {
        const bool is_forward = pass == (layer.transposed ? models::Pass::kBackwardData : models::Pass::kForward);
        (is_forward ? counts.convolution_in_range.forward : counts.convolution_in_range.backward) +=
            shape.multiply_adds(pass);
      }
      if (layer.shares_weights) break;
      counts.convolution_weights += unsigned_of(layer.weight_count());
      break;
    }
    case LayerType::kBatchNorm:
      counts.batch_norm += each_way(outputs);
      break;
    case LayerType::kLayerNorm:
      counts.layer_norm += each_way(outputs);
      break;
    case LayerType::kSmooth:
      counts.smooth += each_way(outputs);
      break;
    case LayerType::kSoftmax:
      counts.softmax += each_way(outputs);
      break;
    case LayerType::kRelu:
    case LayerType::kRelu6:
      counts.activation += each_way(outputs);
      break;
    case LayerType::kAdd:
      counts.element_add += each_way(outputs * (layer.inputs.size() - 1));
      break;
    case LayerType::kMultiply:
      counts.element_multiply += {outputs * (layer.inputs.size() - 1), outputs * layer.inputs.size()};
      break;
    case LayerType::kMaxPool:
      counts.pooling += {outputs * window, outputs};
      break;
    case LayerType::kAvgPool:
      counts.pooling += each_way(outputs * window);
      break;
    case LayerType::kSubsample:
    case LayerType::kEmbedding:
      break;
    case LayerType::kLinear:
    case LayerType::kProduct: {
      const std::uint64_t multiply_adds = outputs * unsigned_of(layer.input.channels / layer.groups);
      counts.linear += {multiply_adds, 2 * multiply_adds};
      if (layer.type == LayerType::kProduct) counts.product += {multiply_adds, 2 * multiply_adds};
      if (!layer.shares_weights) counts.linear_weights += unsigned_of(layer.weight_count());
      break;
    }
  }
}

// Of one image, or of the network's batch.
std::uint64_t gradient_additions(const Network& network) {
  if (network.gradient_additions) return unsigned_of(*network.gradient_additions);
  std::map<std::string, std::int64_t> readers;
  for (const NetworkLayer& layer : network.layers) {
    for (const std::string& input : layer.inputs) ++readers[input];
  }
  std::int64_t additions = 0;
  for (const NetworkLayer& layer : network.layers) {
    additions += layer.rows * layer.output.elements() * std::max<std::int64_t>(readers[layer.name] - 1, 0);
  }
  return unsigned_of(additions);
}

struct Row {
  const char* key;
  const char* label;
  StepCount count;
  bool is_always_shown = true;  // in the table
};

std::array<Row, 13> rows_of(const TrainingCounts& counts) {
  return {{{"convolution", "convolution, multiply-adds", counts.convolution},
           {"convolution_in_range", "  of these not on padding", counts.convolution_in_range},
           {"batch_norm", "batch normalization, elements", counts.batch_norm},
           {"layer_norm", "normalization of rows, elements", counts.layer_norm, false},
           {"element_add", "addition of feature maps", counts.element_add},
           {"gradient_add", "  gradients where paths part", counts.gradient_add},
           {"element_multiply", "product of feature maps", counts.element_multiply, false},
           {"activation", "activation, elements", counts.activation},
           {"smooth", "  with exponentials, elements", counts.smooth, false},
           {"softmax", "softmax, elements", counts.softmax, false},
           {"pooling", "pooling, window elements", counts.pooling},
           {"linear", "linear, multiply-adds", counts.linear},
           {"product", "  of these without weights", counts.product, false}}};
}

}  // namespace

TrainingCounts count_training_step(const Network& network, std::int64_t batch) {
  constexpr std::int64_t kLargestBatch = std::int64_t{1} << 20;
  if (batch < 1 || batch > kLargestBatch) {
    throw std::runtime_error(fmt::format("batch is {}, expected 1 to {}", batch, kLargestBatch));
  }
  const std::int64_t images = network.images(batch);
  // Every count of a layer is at most four times one of these products: those of its window, and the elements that it
  // reads, of each of which a gradient may be added.
  double bound = 0;
  for (const NetworkLayer& layer : network.layers) {
    const auto window = static_cast<double>(layer.kernel[0]) * static_cast<double>(layer.kernel[1]);
    const auto inputs = static_cast<std::int64_t>(layer.inputs.size());
    const std::int64_t operands = layer.multiplies() ? layer.input.channels / layer.groups : inputs;
    const double times = 4.0 * static_cast<double>(images) * static_cast<double>(layer.rows);
    bound += times * static_cast<double>(layer.output.elements()) * window * static_cast<double>(operands);
    bound += times * static_cast<double>(layer.input.elements()) * static_cast<double>(inputs);
  }
  if (bound > 0x1p62) throw std::runtime_error(fmt::format("{}: a step has more than 2^60 operations", network.name));

  TrainingCounts counts;
  counts.network = network.name;
  counts.batch = batch;
  for (const NetworkLayer& layer : network.layers) count_layer(layer, images, counts);
  counts.gradient_add.backward = unsigned_of(images) * gradient_additions(network);
  counts.parameters = unsigned_of(network.parameter_count());
  if (network.published && network.published->batch == batch) counts.published = network.published;
  return counts;
}

std::string to_text(const TrainingCounts& counts) {
  const auto published = [&](const std::string& key) -> std::string {
    if (!counts.published || key.empty()) return {};
    const auto entry = counts.published->counts.find(key);
    return entry == counts.published->counts.end() ? "-" : fmt::format("{:.2E}", entry->second);
  };
  const auto line = [&](const std::string& label, const std::string& forward, const std::string& backward,
                        const std::string& published_forward, const std::string& published_backward) {
    std::string text = fmt::format("{:<32}{:>12}{:>12}", label, forward, backward);
    if (counts.published) text += fmt::format("{:>16}{:>12}", published_forward, published_backward);
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  const auto figure = [](std::uint64_t count) { return fmt::format("{:.2E}", static_cast<double>(count)); };

  std::string text = fmt::format("{}, batch {}: operations of one training step\n\n", counts.network, counts.batch);
  text += line("operation", "forward", "backward", "published fwd", "bwd");
  for (const Row& row : rows_of(counts)) {
    if (!row.is_always_shown && row.count == StepCount()) continue;
    const std::string key = row.key;
    text += line(row.label, figure(row.count.forward), figure(row.count.backward), published(key + "_forward"),
                 published(key + "_backward"));
  }
  const auto update = [&](const std::string& label, std::uint64_t count, const std::string& published_count) {
    return line(label, "", figure(count), "", published_count);
  };
  text += update("weight update, convolutions", counts.convolution_weights, published("weight_update"));
  text += update("  with linear layers", counts.convolution_weights + counts.linear_weights, "");
  text += update("  with biases and norms", counts.parameters, "");
  if (counts.published) {
    text += fmt::format("\npublished: {}\n", counts.published->source);
    if (!counts.published->remark.empty()) text += counts.published->remark + "\n";
  }
  return text;
}

nlohmann::ordered_json to_json(const TrainingCounts& counts) {
  nlohmann::ordered_json document{{"network", counts.network}, {"batch", counts.batch}};
  for (const Row& row : rows_of(counts)) {
    document[row.key] = {{"forward", row.count.forward}, {"backward", row.count.backward}};
  }
  document["weight_update"] = {{"convolution_weights", counts.convolution_weights},
                               {"linear_weights", counts.linear_weights},
                               {"parameters", counts.parameters}};
  if (counts.published) {
    document["published"] = {{"source", counts.published->source},
                             {"counts", counts.published->counts},
                             {"remark", counts.published->remark}};
  }
  return document;
}

}  // namespace mlsim::workloads
