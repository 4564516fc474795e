// Passes that are matrix products of bytes: kernels of one position without padding, and linear layers.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <optional>
#include <string>

#include "models/convolution/cpu/block_kernels.h"
#include "models/convolution/engine.h"

namespace mlsim::models {

// Why the shape of a pass, or the groups of its reduction, are none of a product's; nothing where they are.
std::optional<std::string> block_product_refusal(const ConvolutionRequest& request);

// The caller has proven that elements fit bytes, sums 32 bits, and units binary32.
void multiply_in_blocks(const ConvolutionRequest& request, GroupRounding rounding, float* results);

}  // namespace mlsim::models
