// The functional engine's path for backward weight of depthwise layers of 3×3 kernels, on processors with dot products
// of bytes: sums along whole planes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include "models/convolution/engine.h"

namespace mlsim::models {

// Why a pass is none of these; nothing where it is.
std::optional<std::string> refuse_depthwise_gradient(const ConvolutionRequest& request);

// Writes every result.
std::uint64_t sum_depthwise_gradient(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
