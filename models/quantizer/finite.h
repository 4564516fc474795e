// The refusal of numbers that cannot be quantized.
// Tested in tests/models/quantizer_test.cpp.
#pragma once

#include <span>
#include <string>

#include "models/formats/tensor.h"

namespace mlsim::models {

// Throws std::runtime_error for the first NaN or infinity, with `name` and its index.
void check_finite(std::span<const float> values, const Shape& shape, const std::string& name);
void check_finite(const Tensor<float>& tensor, const std::string& name);

}  // namespace mlsim::models
