// A workload: the convolution layers of one training step, read from JSON (docs/workload-format.md).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "models/formats/tensor.h"
#include "models/quantizer/quantizer.h"
#include "workloads/synthetic_values.h"

namespace mlsim::workloads {

// Where the values of an operand come from: nowhere (the layer is a shape, or no pass needs the operand), a .npy file,
// or a distribution.
using OperandSource = std::variant<std::monostate, std::filesystem::path, SyntheticValues>;

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
  std::size_t index = 0;                   // in the random streams
  std::vector<models::Pass> passes;        // without repetition, in the order of models::kPasses
  std::array<LayerOperand, 3> operands{};  // indexed by models::Operand

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
  std::uint64_t content_hash = 0;  // of the text that it was read from (base/hash.h)
  // What it is read from: its own file, that of a network, its tensors.
  std::vector<std::filesystem::path> files;
};

// Reads and checks a workload; its tensors are not opened yet. A file whose name ends in .csv is a topology of
// SCALE-Sim (scale_sim.h): all passes of its layers as shapes, one image, in e2m4. Throws std::runtime_error with one
// sentence: file, place (line and column, or a JSON pointer such as /layers/0/stride), and reason.
Workload load_workload(const std::filesystem::path& path);

// The same from a text; `file` stands for it in errors, and paths in it are relative to `folder`.
Workload parse_workload(std::string_view text, const std::string& file, const std::filesystem::path& folder);

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
