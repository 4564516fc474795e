// Networks from ONNX models.
#pragma once

#include <filesystem>
#include <string_view>

#include "workloads/network.h"

namespace mlsim::workloads {

// The layers of a training step of a model: Conv, ConvTranspose, Gemm and MatMul as convolutions, linear layers and
// products, everything else as what `mlsim counts` counts of it. All sizes are of the model's batch. Layers have the
// model's weights, which are read when they are asked for. What depends on no input is taken for folded and counts
// nothing. Opsets 7 and later. Throws base::Error with the file, the node and what was expected.
Network import_onnx(const std::filesystem::path& path, const ModelOptions& options);

// The same from the bytes of a model; `path` stands for it in errors, and values in files beside it are looked for
// there.
Network parse_onnx(std::string_view bytes, const std::filesystem::path& path, const ModelOptions& options);

}  // namespace mlsim::workloads
