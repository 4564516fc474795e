// Whole networks: layers with every size, as network files (docs/workload-format.md) give them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::workloads {

enum class LayerType : std::uint8_t {
  kConvolution,
  kBatchNorm,
  kRelu,
  kRelu6,
  kAdd,
  kMaxPool,
  kAvgPool,
  kSubsample,  // every stride-th row and column, and channels of zeros up to the output's: a shortcut without
               // parameters
  kLinear,
};

// What passes between layers, for one image.
struct FeatureMap {
  std::int64_t channels = 1;
  std::array<std::int64_t, 2> size{1, 1};  // height, width

  std::int64_t elements() const { return channels * size[0] * size[1]; }
  bool operator==(const FeatureMap&) const = default;
};

struct NetworkLayer {
  std::string name;
  LayerType type = LayerType::kConvolution;
  std::vector<std::string> inputs;  // names of earlier layers, or "input"
  FeatureMap input;                 // of each input; a linear layer has its features as channels
  FeatureMap output;
  std::array<std::int64_t, 2> kernel{1, 1};  // convolution, pooling
  std::array<std::int64_t, 2> stride{1, 1};  // convolution, pooling, subsampling
  std::array<models::Padding, 2> padding{};
  std::array<std::int64_t, 2> dilation{1, 1};  // convolution
  std::int64_t groups = 1;
  bool bias = false;  // convolution, linear

  // Weights, without biases, of a convolution or a linear layer; 0 for others.
  std::int64_t weight_count() const;
  // All trained parameters: weights, biases, and two for each channel of a batch normalization.
  std::int64_t parameter_count() const;
  // The shape of a convolution layer.
  models::ConvolutionShape convolution_shape(std::int64_t batch) const;
};

// Counts of a training step that a publication gives for a network.
struct PublishedCounts {
  std::string source;
  std::int64_t batch = 1;
  std::map<std::string, double> counts;  // keys as in network.schema.json
  std::string remark;                    // how they differ from what is counted; may be empty
};

struct Network {
  std::string name;
  FeatureMap input;
  std::vector<NetworkLayer> layers;
  std::optional<PublishedCounts> published;
  std::filesystem::path file;  // that it was read from; empty: a shipped one, or a text

  std::int64_t parameter_count() const;
};

// Reads a network: a file, relative to `folder`, or one of shipped_networks(). A file whose name ends in .csv is a
// topology of SCALE-Sim (scale_sim.h). Throws std::runtime_error for one that
// is neither, for what breaks network.schema.json, and where sizes do not follow from those of the inputs.
Network load_network(const std::string& file_or_name, const std::filesystem::path& folder = {});

// The same from a text; `file` stands for it in errors.
Network parse_network(std::string_view text, const std::string& file);

// Names of the networks that are built in, in order.
std::vector<std::string> shipped_networks();

}  // namespace mlsim::workloads
