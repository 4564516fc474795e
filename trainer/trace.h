// Traces: the operands of a training step as a workload that mlsim simulates. No Torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "trainer/quantization.h"

namespace mlsim::trainer {

// How far the results of a pass are from others.
struct Difference {
  std::uint64_t results = 0;
  std::uint64_t equal = 0;     // bit by bit
  double largest = 0;          // difference, over the largest magnitude of the tensor
  std::uint64_t most_ulp = 0;  // binary32 numbers between a result and the other

  // Of two layers: sums, and the larger of the largest.
  Difference& operator+=(const Difference& other);
};
Difference difference_of(const models::Tensor<float>& found, const models::Tensor<float>& expected);

// One convolution at one step.
struct TracedConvolution {
  std::string name;
  bool linear = false;                            // tensors have two dimensions; the shape is that of 1×1 images
  std::size_t index = 0;                          // in the random streams
  models::ConvolutionShape shape;                 // its batch: the traced samples
  std::array<models::Tensor<float>, 3> operands;  // before quantization; indexed by models::Operand
  // Of the three passes, indexed by models::Pass, where the samples are the whole batch; otherwise empty.
  std::array<models::Tensor<float>, 3> results{};
  // Of dequantized arithmetic from exact, over the whole batch, where all operands are block-scaled.
  std::array<Difference, 3> differences{};
};

// Throws std::runtime_error where a trace of these layers would write over one of the inputs, and where the folder has
// a tensor that it would not write over: beside the new ones it would seem to belong to them.
void check_trace_folder(const std::filesystem::path& folder, std::span<const std::string> layers, bool with_results,
                        const std::vector<std::filesystem::path>& inputs);

// Writes FOLDER/workload.json (mlsim.workload/1) and a .npy file for each operand of each layer, the workload last, and
// results that are there as FOLDER/results/LAYER.PASS.npy, as mlsim simulate --tensors names them.
// Throws std::runtime_error that names what cannot be written.
void write_trace(const std::filesystem::path& folder, const std::string& name, const Quantization& quantization,
                 std::uint64_t step, std::span<const TracedConvolution> layers);

}  // namespace mlsim::trainer
