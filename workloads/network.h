// Whole networks: layers with every size, as network files (docs/workload-format.md) give them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::workloads {

enum class LayerType : std::uint8_t {
  kConvolution,
  kBatchNorm,
  kLayerNorm,  // statistics of rows, of groups of channels, of neighbours, in place of channels
  kRelu,
  kRelu6,
  kSmooth,  // an activation that takes an exponential or the like: sigmoid, tanh, GELU, …
  kSoftmax,
  kAdd,
  kMultiply,
  kMaxPool,
  kAvgPool,
  kSubsample,  // every stride-th row and column, and channels of zeros up to the output's: a shortcut without
               // parameters
  kLinear,
  kProduct,  // of two feature maps as matrices, such as attention's: a linear layer without weights
  kEmbedding,
};

// Values that a model holds, read where they are needed.
class StoredTensor {
 public:
  virtual ~StoredTensor() = default;
  // In the shape of a layer's weight. Throws base::Error where the file that holds them cannot be read.
  virtual models::Tensor<float> load() const = 0;
  // The file that load() reads; empty where the values are in memory.
  virtual std::filesystem::path file() const = 0;

 protected:
  StoredTensor() = default;
  StoredTensor(const StoredTensor&) = default;
  StoredTensor& operator=(const StoredTensor&) = default;
  StoredTensor(StoredTensor&&) = default;
  StoredTensor& operator=(StoredTensor&&) = default;
};

// Whether the input of a layer is what another one gives; shared where other layers read it, too.
enum class InputLink : std::uint8_t { kNone, kShared, kAlone };

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
  std::int64_t groups = 1;                     // convolution, linear; matrices of a product
  bool bias = false;                           // convolution, linear
  // Images of a convolution, rows of a linear layer and of a product's first factor, for one input of the network.
  std::int64_t rows = 1;
  // A transposed convolution: the forward pass is the backward pass of data of the convolution that is described, whose
  // input is the layer's output.
  bool transposed = false;
  // What training takes of it: without backward_data where nothing trained stands before it. Those of the convolution
  // that is described.
  std::vector<models::Pass> passes{models::kPasses.begin(), models::kPasses.end()};
  // In what a layer that multiplies is quantized, where it says so itself: a format for all operands.
  std::string format;
  std::int64_t trained = 0;                    // parameters beside weights, biases and those of batch normalization
  bool shares_weights = false;                 // which an earlier layer has
  std::shared_ptr<const StoredTensor> weight;  // the model's values, where it has them

  // Convolutions, linear layers and products: what multiplies and accumulates.
  bool multiplies() const;
  // Stays in binary32, in the rest of a step: its format is fp32. Such a layer is in no workload.
  bool stays_float() const;
  // A matrix product, of 1×1 images.
  bool is_linear() const { return type == LayerType::kLinear || type == LayerType::kProduct; }
  // Weights, without biases, of a convolution or a linear layer; 0 for others.
  std::int64_t weight_count() const;
  // All trained parameters: weights, biases, and two for each channel of a batch normalization.
  std::int64_t parameter_count() const;
  // The shape of a convolution, a linear layer or a product, whose second factor stands for weights.
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
  // What it was read from: a file, and those beside it that hold weights; none of a shipped one and of a text.
  std::vector<std::filesystem::path> files;
  // The batch that all sizes are of, where they are not of one image. It is the only one of which a step can be
  // counted.
  std::optional<std::int64_t> batch;
  // Gradients that are added where paths part, elements, where `inputs` of layers do not tell.
  std::optional<std::int64_t> gradient_additions;
  std::vector<std::string> remarks;  // what the reader of a file has to say to its user
  std::uint64_t content_hash = 0;    // of a model with values of its own, of a topology (base/hash.h)

  std::int64_t parameter_count() const;
  // How often the sizes of the layers are in a step of so many images. Throws std::runtime_error where the network is
  // for another batch.
  std::int64_t images(std::int64_t step_batch) const;
};

struct ModelOptions {
  std::optional<std::int64_t> batch{};  // in place of the batch of an ONNX model's inputs, which may be open
  bool strict = false;                  // operators that are not known are refused, not listed in Network::remarks
};

// Whether a layer's only input comes from another one through nothing but layers with one input that give a map of the
// same size, element for element: normalizations and activations. And whether what one of these gives is read
// elsewhere.
InputLink input_link(const Network& network, const NetworkLayer& layer, const NetworkLayer& before);

// Reads a network: a file, relative to `folder`, or one of shipped_networks(). A file whose name ends in .csv, in any
// case, is a topology of SCALE-Sim (scale_sim.h), in .onnx a model (onnx/import.h), to which alone `options` matter.
// Throws std::runtime_error for one that is neither, for what breaks network.schema.json, and where sizes do not follow
// from those of the inputs.
Network load_network(const std::string& file_or_name, const std::filesystem::path& folder = {},
                     const ModelOptions& options = {});

// Whether a name is that of a file or else of a shipped network.
bool is_shipped(const std::string& file_or_name, const std::filesystem::path& folder = {});
// Whether a path ends so, in any case: ".csv".
bool has_extension(const std::filesystem::path& path, std::string_view extension);

// The same from a text; `file` stands for it in errors.
Network parse_network(std::string_view text, const std::string& file);

// Names of the networks that are built in, in order.
std::vector<std::string> shipped_networks();

}  // namespace mlsim::workloads
