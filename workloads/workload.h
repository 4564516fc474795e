// A workload: the convolution layers of one training step, read from JSON (docs/workload-format.md).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "models/formats/tensor.h"
#include "models/quantizer/quantizer.h"
#include "workloads/network.h"
#include "workloads/synthetic_values.h"

namespace mlsim::workloads {

// Where the values of an operand come from: nowhere (the layer is a shape, or no pass needs the operand), a .npy file,
// a distribution, or a model that holds them.
using OperandSource =
    std::variant<std::monostate, std::filesystem::path, SyntheticValues, std::shared_ptr<const StoredTensor>>;

struct LayerOperand {
  models::Format format;
  models::Rounding rounding = models::Rounding::kNearest;
  OperandSource source;

  bool has_values() const { return !std::holds_alternative<std::monostate>(source); }
};

struct Layer {
  std::string name;     // fit for a file name, unique in its workload
  bool linear = false;  // tensors have two dimensions; shape is that of 1×1 images
  models::ConvolutionShape shape;
  InputLink link = InputLink::kNone;       // to the layer before it in the workload
  std::size_t index = 0;                   // in the random streams
  std::vector<models::Pass> passes;        // without repetition, in the order of models::kPasses
  std::array<LayerOperand, 3> operands{};  // indexed by models::Operand
  // What stands in the place of each operand: an activation in that of the weight in a product of two, error and
  // activation in each other's in a transposed convolution. Formats, roundings and distributions are of what it is.
  std::array<models::Operand, 3> roles = models::kOperands;

  models::Operand role(models::Operand operand) const { return roles[static_cast<std::size_t>(operand)]; }
  // Gives each operand the format of what it is.
  void set_formats(const models::OperandFormats& formats);
  const LayerOperand& operand(models::Operand which) const { return operands[static_cast<std::size_t>(which)]; }
  // True where no operand has values: the layer can be counted and priced, but not computed.
  bool is_shape_only() const;
};

struct Workload {
  std::string name;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;  // below 2^32
  int random_bits = 16;
  models::Accumulator accumulator;
  std::vector<Layer> layers;
  std::uint64_t content_hash = 0;  // of what it was read from (base/hash.h)
  // What it is read from: its own file, those of a network, its tensors.
  std::vector<std::filesystem::path> files;
  std::vector<std::string> remarks;  // what its source has to say to its user
};

// Reads and checks a workload file; its tensors are not opened yet. Throws std::runtime_error with one sentence: file,
// place (line and column, or a JSON pointer such as /layers/0/stride), and reason. What else may stand for a workload
// is read by open_workload (source.h).
Workload load_workload(const std::filesystem::path& path);

// The same from a text; `file` stands for it in errors, and paths in it are relative to `folder`. A batch of the
// options is that of a network which is named without one.
Workload parse_workload(std::string_view text, const std::string& file, const std::filesystem::path& folder,
                        const ModelOptions& options = {});

// A workload of a network's layers, where the document, of the same schema, says everything else.
Workload workload_of(const Network& network, const nlohmann::json& document, const std::string& file);

// Every operand of every layer in the format that is given for it.
void set_formats(Workload& workload, const models::OperandFormats& formats);

// The values of an operand, which must have some, with the shape that the layer gives it. Throws std::runtime_error for
// a file that read_npy refuses, and with both shapes where they disagree.
models::Tensor<float> load_operand(const Layer& layer, models::Operand operand);

// The shape of an operand's or a result's tensor in files.
models::Shape file_shape(const Layer& layer, const models::Shape& shape);

// step · 2^32 + 3 · layer index + {activation 0, weight 1, error 2}: the stream of the operand's stochastic rounding.
std::uint64_t random_stream(std::uint64_t step, std::size_t layer_index, models::Operand operand);

// How an operand of a layer is quantized to MLS.
models::QuantizerOptions quantizer_options(const Workload& workload, std::size_t layer_index, models::Operand operand);

}  // namespace mlsim::workloads
