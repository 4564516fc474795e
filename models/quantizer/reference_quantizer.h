// The scalar reference of the quantizer: step by step as the numeric contract (docs/numerics.md) has it.
// Tested in tests/models/vectors_test.cpp.
#pragma once

#include <string>

#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// See quantize() for parameters and errors.
QuantizedTensor reference_quantize(const Tensor<float>& input, const ScaledFormat& format,
                                   const QuantizerOptions& options, const std::string& name);

}  // namespace mlsim::models
