// Traces: the operands of a training step as a workload that mlsim simulates. No Torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "workloads/trainer/quantization.h"

namespace mlsim::trainer {

// The operands of one convolution at one step, before quantization: the first samples of its batch.
struct TracedConvolution {
  std::string name;
  models::ConvolutionShape shape;
  std::array<models::Tensor<float>, 3> operands;  // indexed by models::Operand
};

// Writes FOLDER/workload.json (mlsim.workload/1) and a .npy file for each operand of each layer, the workload last.
// Throws std::runtime_error that names what cannot be written.
void write_trace(const std::filesystem::path& folder, const std::string& name, const Quantization& quantization,
                 std::uint64_t step, std::span<const TracedConvolution> layers);

}  // namespace mlsim::trainer
